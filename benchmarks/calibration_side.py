"""One side of bench_calibration.py in a process of its own: prints its seconds and peak memory.

`calibration_side.py plain|edgesmith|Percentile|Entropy MODEL SAMPLES`; all on two CPUs.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgesmith.data.samples import Samples

THREADS = 2


def plain(model: Path, samples: Path) -> Callable[[], None]:
    """FP32 inference of all samples."""
    from edgesmith.model import numeric

    session = numeric.open_session(model, threads=THREADS)
    feeds = Samples(samples).feeds

    def work() -> None:
        for one in feeds():
            session.run(None, one)

    return work


def edgesmith(model: Path, samples: Path) -> Callable[[], None]:
    """What the observe stage does, and the ranges by the costliest method."""
    from edgesmith.events import EventStream
    from edgesmith.quantize.calibrate.observation import observe
    from edgesmith.quantize.ranges import ranges_by

    def work() -> None:
        found = observe(model, samples, events=EventStream(), threads=THREADS)
        ranges_by(found, "entropy")

    return work


def library(method: str) -> Callable[[Path, Path], Callable[[], None]]:
    """What quantize_static does to find ranges."""

    def prepared(model: Path, samples: Path) -> Callable[[], None]:
        from onnxruntime.quantization import CalibrationMethod
        from onnxruntime.quantization.calibrate import create_calibrator

        def work() -> None:
            with tempfile.TemporaryDirectory() as folder:
                calibrator = create_calibrator(
                    model,
                    augmented_model_path=str(Path(folder) / "augmented.onnx"),
                    calibrate_method=getattr(CalibrationMethod, method),
                )
                calibrator.collect_data(Reader(Samples(samples).feeds()))
                calibrator.compute_data()

        return work

    return prepared


class Reader:
    """The samples as the library asks for them."""

    def __init__(self, feeds: Iterator[dict[str, Any]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


SIDES = {
    "plain": plain,
    "edgesmith": edgesmith,
    "Percentile": library("Percentile"),
    "Entropy": library("Entropy"),
}


def main() -> None:
    """Runs the side that the arguments name."""
    side, model, samples = sys.argv[1:]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    work = SIDES[side](Path(model), Path(samples))
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    main()
