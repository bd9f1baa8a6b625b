"""Calibration against plain FP32 inference and against quantize_static, with two threads each."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from image_project import prepared_model
from measure import verdict

from edgesmith.worker.tensors import SamplesWriter

HERE = Path(__file__).parent
RUNS = 3
MANY, VERY_MANY, FEW = 256, 2048, 64
LIMIT_RATIO = 6.0
LIMIT_PEAK_BYTES = 600e6
LIMIT_GROWTH = 1.05
LEAST_FASTER, LEAST_SMALLER = 5.0, 6.0
SOURCES = {
    "EfficientNet-Lite0": HERE.parent / "examples/efficientnet-lite0/model.py",
    "MobileNetV2": HERE / "mobilenet_v2.py",
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Medians over the runs."""

    seconds: float
    peak_bytes: float


def main() -> int:
    """Measures all sides of both models in turn; 1 when a limit is missed."""
    holds = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = {n: write_samples(folder, n) for n in (FEW, MANY, VERY_MANY)}
        for title, source in SOURCES.items():
            print(f"== {title}")
            model = prepared_model(folder / title, source)
            holds = against_inference(model, samples) and holds
            holds = against_the_library(model, samples[FEW]) and holds
    return 0 if holds else 1


def write_samples(folder: Path, count: int) -> Path:
    """`count` random images in a file."""
    generator = np.random.default_rng(0)
    writer = SamplesWriter(path := folder / f"{count}.safetensors")
    for _ in range(count):
        writer.add({"inputs/image": generator.standard_normal((1, 3, 224, 224)).astype("float32")})
    writer.close({"format": "edgesmith-samples", "schema_version": "1.0", "count": str(count)})
    return path


def cost(side: str, model: Path, samples: Path, *, runs: int = RUNS) -> Cost:
    """Of one side, each run in a process of its own."""
    argv = [sys.executable, str(HERE / "calibration_side.py"), side, str(model), str(samples)]
    found = [
        json.loads(subprocess.run(argv, check=True, capture_output=True).stdout.splitlines()[-1])
        for _ in range(runs)
    ]
    return Cost(
        seconds=statistics.median(one["seconds"] for one in found),
        peak_bytes=statistics.median(one["peak_bytes"] for one in found),
    )


def against_inference(model: Path, samples: dict[int, Path]) -> bool:
    """Time and memory of many samples, and memory of eight times as many."""
    pairs = [
        (cost("edgesmith", model, samples[MANY], runs=1), cost("plain", model, samples[MANY],
                                                               runs=1))
        for _ in range(RUNS)
    ]  # fmt: skip
    ratio = statistics.median(ours.seconds / bare.seconds for ours, bare in pairs)
    seconds = statistics.median(ours.seconds for ours, _ in pairs)
    peak = statistics.median(ours.peak_bytes for ours, _ in pairs)
    print(f"{MANY} samples: {seconds:.2f} s")
    holds = verdict("time over FP32 inference", ratio, LIMIT_RATIO, "x")
    holds = verdict("peak memory", peak / 1e6, LIMIT_PEAK_BYTES / 1e6, "MB") and holds
    grown = cost("edgesmith", model, samples[VERY_MANY], runs=1).peak_bytes / peak
    return verdict(f"the same with {VERY_MANY} samples", grown, LIMIT_GROWTH, "x") and holds


def against_the_library(model: Path, samples: Path) -> bool:
    """Time and memory of a few samples, as shares of what the library's methods take."""
    holds = True
    ours = cost("edgesmith", model, samples)
    for method in ("Percentile", "Entropy"):
        theirs = cost(method, model, samples, runs=1)
        print(
            f"{FEW} samples, {method}: {theirs.seconds:.1f} s and {theirs.peak_bytes / 1e6:.0f} MB"
            f" by quantize_static, {ours.seconds:.2f} s and {ours.peak_bytes / 1e6:.0f} MB here"
        )
        share = ours.seconds / theirs.seconds
        holds = verdict(f"time over that of {method}", share, 1 / LEAST_FASTER, "x") and holds
        share = ours.peak_bytes / theirs.peak_bytes
        holds = verdict(f"memory over that of {method}", share, 1 / LEAST_SMALLER, "x") and holds
    return holds


if __name__ == "__main__":
    sys.exit(main())
