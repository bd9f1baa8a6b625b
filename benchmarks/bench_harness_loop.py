"""What the harness's timed loop costs: against a bare C++ loop around Session::Run, in one run.

Both sides have bound inputs and outputs, one thread, the same library and as many readings of the
clock. They take turns in fresh processes (A B, B A, ...), so that a drift falls on both alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench_harness import ROOT, VARIANTS, Case, built, harness_p50, interval
from measure import verdict

SOURCE = Path(__file__).with_name("bare_loop.cpp")
ROUNDS = 12
SECONDS = 3.0
# What the harness may add: a share of the bare loop's median, or so many microseconds.
MOST_RATIO = {"efficientnet-lite0": 1.01}
MOST_US = {"digits": 0.3}


def main() -> int:
    """Prints the figures of each example; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    examples = sorted({*MOST_RATIO, *MOST_US})
    parser.add_argument("--example", choices=examples, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    held = True
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "bare_loop"
        for model in options.example or examples:
            bundle = built(model)
            if not program.exists():
                compile_loop(program, bundle)
            for variant in VARIANTS:
                case = Case(model=model, variant=variant, bundle=bundle)
                held = compare(case, program, options.rounds, options.seconds) and held
    return 0 if held else 1


def compile_loop(program: Path, bundle: Path) -> None:
    """Compiles the bare loop against the bundle's own library."""
    headers = onnxruntime_headers()
    library = next((bundle / "lib").glob("libonnxruntime.so*"))
    subprocess.run(
        [os.environ.get("CXX", "c++"), "-std=c++17", "-O2", SOURCE, "-I", headers, library,
         f"-Wl,-rpath,{library.parent}", "-o", program],
        check=True,
    )  # fmt: skip


def onnxruntime_headers() -> Path:
    """The pinned headers, fetched and verified as the C++ tests' are."""
    folder = ROOT / "build" / "bench-deps"
    subprocess.run(
        [sys.executable, "-m", "edgesmith.compile.cpp_deps", "--output", folder],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return next(folder.rglob("onnxruntime_cxx_api.h")).parent


def compare(case: Case, program: Path, rounds: int, seconds: float) -> bool:
    """The harness's median latency beside the bare loop's, by rounds."""
    pairs = []
    for number in range(rounds):
        sides: dict[str, Callable[[], float]] = {
            "harness": lambda: harness_p50(case, seconds),
            "bare": lambda: bare_p50(case, program, seconds),
        }
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        found = {side: sides[side]() for side in order}
        pairs.append((found["harness"], found["bare"]))
    ratios = [harness / bare for harness, bare in pairs]
    differences_us = [(harness - bare) / 1e3 for harness, bare in pairs]
    harness, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    name = f"{case.model} {case.variant}"
    low, high = interval(ratios)
    print(
        f"{name}: p50 harness {harness / 1e3:.2f} us, bare loop {bare / 1e3:.2f} us; ratio"
        f" {statistics.median(ratios):.4f}, 95 % interval [{low:.4f}, {high:.4f}]"
    )
    if case.model in MOST_RATIO:
        return verdict(f"{name}: ratio", statistics.median(ratios), MOST_RATIO[case.model], "x")
    added_us = statistics.median(differences_us)
    return verdict(f"{name}: harness adds", added_us, MOST_US[case.model], "us")


def bare_p50(case: Case, program: Path, seconds: float) -> float:
    """The bare loop's p50 in ns, from one process."""
    done = subprocess.run(
        [program, case.file, str(seconds)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
    )
    return float(done.stdout.split()[0])


if __name__ == "__main__":
    sys.exit(main())
