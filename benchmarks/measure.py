"""Measures processes: wall and CPU seconds of whole ones, the p50 that a harness reports."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Medians over the runs, and all wall times."""

    wall_s: float
    cpu_s: float
    walls_s: tuple[float, ...]


def measure(
    argv: Sequence[str], *, runs: int, cwd: Path, env: Mapping[str, str] | None = None
) -> Timing:
    """Runs `argv` once to warm up, then `runs` times; raises CalledProcessError."""
    walls, cpus = [], []
    for number in range(runs + 1):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            argv, cwd=cwd, env=dict(env or os.environ), check=True, capture_output=True, text=True
        )
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if number == 0:
            continue
        walls.append(wall)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Timing(
        wall_s=statistics.median(walls), cpu_s=statistics.median(cpus), walls_s=tuple(walls)
    )


def harness_p50(bundle: Path, *words: str) -> float:
    """p50 in ns of one process of the bundle's harness; `words` choose what it measures."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        argv = [bundle / "bin" / "harness", "bench", "--processes", "1", "--json", report, *words]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        run = json.loads(report.read_text())["runs"][0]
    return float(run["latency"]["percentiles"]["50"]["value"])


def verdict(name: str, value: float, limit: float, unit: str) -> bool:
    """Prints a measured figure beside its limit; returns whether it holds."""
    holds = value <= limit
    print(f"{name}: {value:.3f} {unit}, limit {limit:g} {unit}: {'holds' if holds else 'MISSED'}")
    return holds
