"""What the harness's timed loop costs: against a bare C++ loop around Session::Run, in one process.

Both sides have bound inputs and outputs, one thread, the same library and as many readings of the
clock. They take turns in blocks of 100 inferences, over several pairs of sessions.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench_harness import ROOT, VARIANTS, Case, built, interval
from measure import verdict

BUILD = ROOT / "build" / "cpp"
TARGET = "loop-overhead"
PAIRS = {"digits": 300, "efficientnet-lite0": 12}
SECONDS = {"digits": 0.2, "efficientnet-lite0": 8.0}
# What the harness may add: a share of the bare loop's median, or so many microseconds.
MOST_RATIO = {"efficientnet-lite0": 1.01}
MOST_US = {"digits": 0.3}


def main() -> int:
    """Prints the figures of each example; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    examples = sorted({*MOST_RATIO, *MOST_US})
    parser.add_argument("--example", choices=examples, action="append")
    parser.add_argument("--pairs", type=int, help="pairs of sessions for each variant")
    parser.add_argument("--seconds", type=float, help="for each pair")
    options = parser.parse_args()
    held = True
    program = compiled()
    for model in options.example or examples:
        bundle = built(model)
        for variant in VARIANTS:
            case = Case(model=model, variant=variant, bundle=bundle)
            pairs, seconds = options.pairs or PAIRS[model], options.seconds or SECONDS[model]
            held = compare(case, program, pairs, seconds) and held
    return 0 if held else 1


def compiled() -> Path:
    """The program with both loops, built as the C++ tests are."""
    for argv in (
        ["-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"],
        ["--build", BUILD, "--target", TARGET],
    ):
        subprocess.run(["cmake", *argv], check=True, stdout=subprocess.DEVNULL)
    return next(path for path in BUILD.rglob(TARGET) if path.is_file())


def compare(case: Case, program: Path, pairs: int, seconds: float) -> bool:
    """The harness's median latency beside the bare loop's, by pairs of sessions."""
    done = subprocess.run(
        [program, case.file, case.samples, str(pairs), str(seconds)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
    )
    found = [[float(word) for word in line.split()] for line in done.stdout.splitlines()]
    harness, bare = (statistics.median(side) for side in zip(*found, strict=True))
    name = f"{case.model} {case.variant}"
    print(f"{name}: p50 harness {harness / 1e3:.2f} us, bare loop {bare / 1e3:.2f} us")
    ratios = [ours / theirs for ours, theirs in found]
    added_us = [(ours - theirs) / 1e3 for ours, theirs in found]
    for unit, values in (("x", ratios), ("us", added_us)):
        low, high = interval(values)
        print(f"{name}: {statistics.median(values):.4f} {unit} [{low:.4f}, {high:.4f}]")
    if case.model in MOST_RATIO:
        return verdict(f"{name}: ratio", statistics.median(ratios), MOST_RATIO[case.model], "x")
    added = statistics.median(added_us)
    return verdict(f"{name}: harness adds", added, MOST_US[case.model], "us")


if __name__ == "__main__":
    sys.exit(main())
