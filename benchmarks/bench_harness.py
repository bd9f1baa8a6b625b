"""What the harness costs: against Python's InferenceSession with IO binding, in one run.

Same model files, threads, session options and samples; the two sides take turns in fresh processes
(A B, B A, ...). Latency is compared by the ratio of medians in each turn. Cold start is a whole
process: start, load, one inference, end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import harness_p50, verdict
from safetensors import safe_open
from safetensors.numpy import save_file

ROOT = Path(__file__).parent.parent
PYTHON_SIDE = Path(__file__).with_name("python_session.py")
ROUNDS = 12
SECONDS = 4.0
STARTS = 15
# The harness' share of Python's median latency, at most.
LIMITS = {"digits": 1.00, "efficientnet-lite0": 1.02}
VARIANTS = ("fp32", "int8")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One variant of one built example."""

    model: str
    variant: str
    bundle: Path

    @property
    def file(self) -> Path:
        variants = json.loads((self.bundle / "manifest.json").read_text())["variants"]
        return self.bundle / next(v["path"] for v in variants if v["name"] == self.variant)

    @property
    def samples(self) -> Path:
        return self.bundle / "bench" / "samples.safetensors"


def main() -> int:
    """Prints the figures of each example; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", choices=sorted(LIMITS), action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    held = True
    for model in options.example or sorted(LIMITS):
        bundle = built(model)
        for variant in VARIANTS:
            case = Case(model=model, variant=variant, bundle=bundle)
            held = compare_latency(case, options.rounds, options.seconds) and held
            compare_start(case)
    return 0 if held else 1


def built(model: str) -> Path:
    """The example's bundle, built where it is not."""
    project = ROOT / "examples" / model
    subprocess.run(
        [sys.executable, "-m", "edgesmith", "build", "-q", "-p", project],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return project / "build" / model / "host" / "bundle"


def compare_latency(case: Case, rounds: int, seconds: float) -> bool:
    """Median of the rounds' ratios of p50, with its interval over rounds."""
    pairs = []
    for number in range(rounds):
        order = (ours_p50, python_p50) if number % 2 == 0 else (python_p50, ours_p50)
        found = {side: side(case, seconds) for side in order}
        pairs.append((found[ours_p50], found[python_p50]))
    ratios = [harness / python for harness, python in pairs]
    low, high = interval(ratios)
    harness, python = (statistics.median(side) for side in zip(*pairs, strict=True))
    name = f"{case.model} {case.variant}"
    print(f"{name}: p50 harness {harness / 1e3:.1f} us, Python {python / 1e3:.1f} us")
    differences = [(h - p) / 1e3 for h, p in pairs]
    print(
        f"{name}: harness minus Python {statistics.median(differences):+.1f} us,"
        f" ratio 95 % interval [{low:.3f}, {high:.3f}] over {rounds} rounds"
    )
    return verdict(f"{name}: ratio", statistics.median(ratios), LIMITS[case.model], "x")


def interval(values: list[float]) -> tuple[float, float]:
    """Bootstrap interval of the median, 95 %."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    return float(low), float(high)


def ours_p50(case: Case, seconds: float) -> float:
    """The harness' p50 in ns, from one process."""
    return harness_p50(
        case.bundle, "--variant", case.variant, "--threads", "1",
        "--min-seconds", str(seconds), "--min-iterations", "50",
    )  # fmt: skip


def python_p50(case: Case, seconds: float) -> float:
    """Python's p50 in ns, from one process."""
    done = subprocess.run(
        [sys.executable, PYTHON_SIDE, case.file, case.samples, str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(done.stdout)["p50_ns"])


def compare_start(case: Case) -> None:
    """Wall time and peak memory of a process that loads the model and runs it once."""
    with tempfile.TemporaryDirectory() as folder:
        sample = one_sample(case, Path(folder))
        sides = {
            "harness": [case.bundle / "bin" / "harness", "verify", "--model", case.file,
                        "--samples", sample, "--min-sqnr-db", "0", "--json", os.devnull],
            "Python": [sys.executable, PYTHON_SIDE, case.file, sample, "0"],
        }  # fmt: skip
        found: dict[str, list[tuple[float, int]]] = {name: [] for name in sides}
        for number in range(STARTS + 1):
            for name in sides if number % 2 == 0 else reversed(sides):
                one = whole_process(sides[name])
                if number > 0:
                    found[name].append(one)
    figures = {n: [statistics.median(c) for c in zip(*f, strict=True)] for n, f in found.items()}
    (harness_s, harness_bytes), (python_s, python_bytes) = figures["harness"], figures["Python"]
    print(
        f"{case.model} {case.variant}: cold start harness {harness_s * 1e3:.0f} ms, Python"
        f" {python_s * 1e3:.0f} ms, ratio {harness_s / python_s:.2f}; peak memory harness"
        f" {harness_bytes / 1e6:.1f} MB, Python {python_bytes / 1e6:.1f} MB, ratio"
        f" {harness_bytes / python_bytes:.2f}"
    )


def one_sample(case: Case, folder: Path) -> Path:
    """A samples file with the first evaluation sample alone."""
    path = folder / "one.safetensors"
    with safe_open(case.samples, framework="numpy") as file:
        first = {name: file.get_slice(name)[:1] for name in file.keys()}  # noqa: SIM118
    save_file(first, path, {"format": "edgesmith-samples", "schema_version": "1.0", "count": "1"})
    return path


def whole_process(argv: list[str | Path]) -> tuple[float, int]:
    """(wall seconds, peak resident bytes) of one process from its start to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return wall_s, usage.ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
