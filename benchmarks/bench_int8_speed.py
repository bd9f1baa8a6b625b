"""Latency of INT8 files in ONNX Runtime's cpu provider, one thread: ours, quantize_static, NNCF.

All take turns in one process, with new sessions several times: where a session's memory lies moves
its latency by some percent. Random weights do: latency does not depend on them. The others run with
ONNX Runtime's defaults and with the option that ours sets, and the faster counts; they are given
the model that edgesmith has cleaned up. Needs `pip install nncf`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from image_project import prepared_model
from int8_sides import OPTIONS, Feeds, by_nncf, by_the_library, quantizer, runs
from measure import verdict

from edgesmith.model import numeric
from edgesmith.values import SessionOptions

HERE = Path(__file__).parent
NETWORKS = {
    "EfficientNet-Lite0": HERE.parent / "examples/efficientnet-lite0/model.py",
    "MobileNetV2": HERE / "mobilenet_v2.py",
    "MobileNetV3-Small": HERE / "mobilenet_v3.py",
    "ResNet-50": HERE / "resnet50.py",
    "SiLU detector": HERE / "silu_detector.py",
}
LIMIT = 1.02
# HardSwish or SiLU occur in these, where ours must be faster.
FASTER = ("MobileNetV3-Small", "SiLU detector")
SESSIONS, ROUNDS, EACH, IMAGES = 9, 10, 3, 8


def main() -> int:
    """1 when a limit is missed."""
    chosen = sys.argv[1:] or list(NETWORKS)
    holds = True
    for title in chosen:
        print(f"== {title}")
        with tempfile.TemporaryDirectory() as name:
            holds = compared(title, Path(name)) and holds
    return 0 if holds else 1


def compared(title: str, folder: Path) -> bool:
    model = prepared_model(folder / "project", NETWORKS[title])
    generator = np.random.default_rng(0)
    feeds: list[Feeds] = [
        {"image": generator.standard_normal((1, 3, 224, 224)).astype(np.float32)}
        for _ in range(IMAGES)
    ]
    ours = quantizer(model, feeds, folder).quantize("minmax").path
    library = by_the_library(model, feeds, folder / "library.onnx", "MinMax")
    nncf = by_nncf(model, feeds, folder / "nncf.onnx")
    plain = SessionOptions()
    sessions = {"FP32": (model, plain), "edgesmith": (ours, OPTIONS)}
    for name, path in (("quantize_static", library), ("NNCF", nncf)):
        sessions |= {name: (path, plain), f"{name}, as ours": (path, OPTIONS)}
    times: dict[str, list[float]] = {}
    for _ in range(SESSIONS):
        opened = {
            name: numeric.open_session(path, options) for name, (path, options) in sessions.items()
        }
        for name, taken in interleaved(opened, feeds[0]).items():
            times.setdefault(name, []).extend(taken)
    p50 = {name: statistics.median(taken) for name, taken in times.items()}
    for name, value in p50.items():
        print(f"{name}: p50 {value:.3f} ms")
    best = min(value for name, value in p50.items() if name not in ("FP32", "edgesmith"))
    limit = 1.0 if title in FASTER else LIMIT
    return verdict("edgesmith over the best of the others", p50["edgesmith"] / best, limit, "times")


def interleaved(sessions: dict[str, Any], feeds: Feeds) -> dict[str, list[float]]:
    """Milliseconds of single inferences; those that cannot run are left out."""
    sessions = {
        name: one for name, one in sessions.items() if runs(name, partial(one.run, None, feeds))
    }
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            session.run(None, feeds)
            for _ in range(EACH):
                started = time.perf_counter()
                session.run(None, feeds)
                times[name].append(1e3 * (time.perf_counter() - started))
    return times


if __name__ == "__main__":
    sys.exit(main())
