"""Measures whole processes: wall and CPU seconds, as medians over several runs."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
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


def verdict(name: str, value: float, limit: float, unit: str) -> bool:
    """Prints a measured figure beside its limit; returns whether it holds."""
    holds = value <= limit
    print(f"{name}: {value:.3f} {unit}, limit {limit:g} {unit}: {'holds' if holds else 'MISSED'}")
    return holds
