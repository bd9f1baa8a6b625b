"""What edgesmith, onnxruntime.quantization and NNCF make of the same model and the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgesmith.events import EventStream
from edgesmith.model import numeric
from edgesmith.quantize.calibrate.observation import observe
from edgesmith.quantize.calibrate.thresholds import METHODS
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.quantizer import Quantizer
from edgesmith.values import SessionOptions
from edgesmith.worker.tensors import SamplesWriter

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]
# As edgesmith encodes for a CPU with AVX-512 and VNNI.
U8S8 = Encoding(
    name="u8s8", activation_signed=False, weight_signed=True, pairs=False, exact_here=True,
    channel_multiple=16, pads_colours=True, float_silu=True,
)  # fmt: skip
OPTIONS = SessionOptions(
    config={"optimization.disable_specified_optimizers": "WeightBiasQuantization"}
)
LIBRARY_METHODS = ("MinMax", "Entropy", "Percentile")
# The library's histograms of more samples do not fit into the memory of a small machine.
_MOST_FOR_HISTOGRAMS = 64


def quantizer(
    model: Path, calibration: Sequence[Feeds], folder: Path, encoding: Encoding = U8S8
) -> Quantizer:
    """Ours, with the samples observed; files go into `folder`."""
    writer = SamplesWriter(samples := folder / "samples.safetensors")
    for feeds in calibration:
        writer.add({f"inputs/{name}": value for name, value in feeds.items()})
    count = str(len(calibration))
    writer.close({"format": "edgesmith-samples", "schema_version": "1.0", "count": count})
    return Quantizer(
        prepared=model,
        found=observe(model, samples, events=EventStream()),
        samples=samples,
        encoding=encoding,
        exclude=(),
        sizes={},
        folder=folder,
        events=EventStream(),
    )


def by_edgesmith(made_by: Quantizer, score: Callable[[Path], float]) -> Path:
    """The best of all methods by `score`, as `quantize` chooses by the deciding metric."""
    return max((made_by.quantize(method).path for method in METHODS), key=score)


def by_the_library(model: Path, calibration: Sequence[Feeds], path: Path, method: str) -> Path:
    """quantize_static for x86: U8S8, weights per channel."""
    from onnxruntime import quantization

    few = method != "MinMax"
    taken = calibration[:_MOST_FOR_HISTOGRAMS] if few else calibration

    # onnxruntime.quantization is untyped: its base class is Any.
    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Feeds] = iter(taken)

        def get_next(self) -> dict[str, Array] | None:
            feeds = next(self._left, None)
            return None if feeds is None else dict(feeds)

    quantization.quantize_static(
        model,
        path,
        Reader(),
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=getattr(quantization.CalibrationMethod, method),
    )
    return path


def by_nncf(model: Path, calibration: Sequence[Feeds], path: Path, *, fast: bool = True) -> Path:
    """nncf.quantize with fast or full bias correction.

    Its default encodes what depthwise convolutions take per channel. ONNX Runtime refuses such a
    model when it runs it; then per tensor is what NNCF can make for it.
    """
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        QuantizationParameters,
    )

    for per_channel in (None, False):
        made = nncf.quantize(
            onnx.load(model),
            nncf.Dataset(list(calibration), dict),
            subset_size=len(calibration),
            fast_bias_correction=fast,
            advanced_parameters=AdvancedQuantizationParameters(
                activations_quantization_params=QuantizationParameters(per_channel=per_channel)
            ),
        )
        onnx.save(made, path)
        if runs(path.name, partial(_run_once, path, calibration[0])):
            return path
    raise RuntimeError(f"{path}: ONNX Runtime runs none of what NNCF made")


def _run_once(path: Path, feeds: Feeds) -> None:
    numeric.open_session(path, OPTIONS).run(None, dict(feeds))


def runs(title: str, run: Callable[[], object]) -> bool:
    """Whether ONNX Runtime can run what a tool made; its reason is printed."""
    try:
        run()
    except Exception as error:
        # ONNX Runtime's errors have no class of their own.
        print(f"  {title} does not run: {str(error).splitlines()[0][-120:]}")
        return False
    return True
