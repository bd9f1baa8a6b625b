"""How often the harness calls two equal variants different on a real machine.

A bundle in which both variants are the same file is measured again and again, each time as users
measure: several processes per variant, interleaved. An interval that leaves out 1 is a false alarm.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_harness import LIMITS, VARIANTS, built

PAIRS = 50
SECONDS = 1.0
# As in a new project.
PROCESSES = 3
# An interval of 95 % may err in 2.5 of 50 pairs; six or more happen in 4 % of such series.
MOST_ALARMS = 5


def main() -> int:
    """Prints each pair that is called different, and their number; 1 when there are too many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", choices=sorted(LIMITS), default="digits")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    options = parser.parse_args()
    alarms, widths = 0, []
    with tempfile.TemporaryDirectory() as name:
        bundle = with_equal_variants(built(options.example), Path(name))
        for number in range(1, options.pairs + 1):
            speedup = measured(bundle, options.seconds, options.processes)
            low, high = speedup["ci95"]
            widths.append(high - low)
            if not low <= 1.0 <= high:
                alarms += 1
                print(f"pair {number}: {speedup['value']:.4f} [{low:.4f}, {high:.4f}]", flush=True)
    allowed = MOST_ALARMS * options.pairs / PAIRS
    holds = alarms <= allowed
    print(
        f"{options.example}: {alarms} false alarms in {options.pairs} pairs of"
        f" {options.processes} processes, at most {allowed:g}: {'holds' if holds else 'MISSED'};"
        f" median width of the interval {statistics.median(widths):.4f}"
    )
    return 0 if holds else 1


def with_equal_variants(bundle: Path, folder: Path) -> Path:
    """A copy of the bundle in which each variant's file holds the same bytes."""
    copy = folder / "bundle"
    shutil.copytree(bundle, copy, symlinks=True)
    manifest = json.loads((copy / "manifest.json").read_text())
    first, second = (next(v for v in manifest["variants"] if v["name"] == n) for n in VARIANTS)
    same = (copy / first["path"]).read_bytes()
    for variant in (first, second):
        (copy / variant["path"]).write_bytes(same)
        entry = next(f for f in manifest["files"] if f["path"] == variant["path"])
        entry.update(sha256=hashlib.sha256(same).hexdigest(), bytes=len(same))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def measured(bundle: Path, seconds: float, processes: int) -> dict[str, Any]:
    """The speedup of the second variant over the first, with its interval."""
    report = bundle.parent / "report.json"
    named = [word for name in VARIANTS for word in ("--variant", name)]
    subprocess.run(
        [bundle / "bin" / "harness", "bench", *named, "--processes", str(processes),
         "--min-seconds", str(seconds), "--min-iterations", "50", "--json", report],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (comparison,) = json.loads(report.read_text())["comparisons"]
    speedup: dict[str, Any] = comparison["speedup"]
    return speedup


if __name__ == "__main__":
    sys.exit(main())
