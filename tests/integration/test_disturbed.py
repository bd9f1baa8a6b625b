"""A CPU hog beside a measurement is seen and named; work that was not there is not."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgesmith.report.plain import Style
from edgesmith.report.text import render_report
from workbench import Edgesmith

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
HOG = (sys.executable, "-c", "while True: pass")


@contextmanager
def hog(cpu: int) -> Iterator[None]:
    """A process that takes all it can get of one CPU."""
    process = subprocess.Popen(HOG)
    try:
        os.sched_setaffinity(process.pid, {cpu})
        yield
    finally:
        process.kill()
        process.wait()


def busy_s() -> float:
    """CPU time of the whole machine so far."""
    user, nice, system, _, _, irq, softirq = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) * TICK_S


def children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A report, and the CPU time that others had meanwhile, as this test saw it."""

    report: Any
    others_s: float

    @property
    def run(self) -> Any:
        return self.report["runs"][0]

    @property
    def environment(self) -> Any:
        return self.run["processes"][0]["environment"]

    def condition(self, name: str) -> Any:
        return next(c for c in self.run["conditions"] if c["name"] == name)


def measure(built: Edgesmith, cpu: int) -> Measurement:
    """One process of the real harness, kept on one CPU."""
    bundle = built.folder / "build/digits/host/bundle"
    argv = [
        "taskset", "--cpu-list", str(cpu), bundle / "bin/harness", "bench", "--variant", "int8",
        "--processes", "1", "--min-seconds", "1", "--json", "-",
    ]  # fmt: skip
    before_s = busy_s() - children_s()
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=120)
    others_s = busy_s() - children_s() - before_s
    assert done.returncode == 0, done.stderr
    return Measurement(report=json.loads(done.stdout), others_s=others_s)


@pytest.mark.parametrize("place", ["the same CPU", "another CPU"])
def test_a_hog_makes_a_run_noisy(built: Edgesmith, place: str) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if place == "another CPU" and len(cpus) < 2:
        pytest.skip("there is one CPU")
    with hog(cpus[0] if place == "the same CPU" else cpus[1]):
        found = measure(built, cpus[0])
    condition = found.condition("no_other_work")
    assert condition["passed"] is False
    assert condition["value"] > condition["limit"]
    # Throttling, on a machine that tells it, would be named first.
    assert found.run["verdict"] in ("noisy", "throttled")
    text = render_report(found.report, Style(width=100))
    assert "no other work not kept: other processes took CPU time" in text


def test_work_that_was_not_there_is_not_blamed(built: Edgesmith) -> None:
    found = measure(built, min(os.sched_getaffinity(0)))
    condition, during = found.condition("no_other_work"), found.environment["during"]
    before, after = found.environment["before"], found.environment["after"]
    wall_s = (after["total_ticks"] - before["total_ticks"]) / before["counted_cpus"] * TICK_S
    own_s = (after["cpu_time_ns"] - before["cpu_time_ns"] + during["observer_cpu_ns"]) / 1e9
    others_s = max(0.0, (after["busy_ticks"] - before["busy_ticks"]) * TICK_S - own_s)
    assert during["other_cpus_busy"] == pytest.approx(others_s / wall_s, abs=1e-9)
    # What this test saw began earlier and ended later; it ran itself, and ticks are coarse.
    assert others_s <= found.others_s + 2 * before["counted_cpus"] * TICK_S
    assert condition["passed"] is (condition["value"] <= condition["limit"])
    if all(c["passed"] is not False for c in found.run["conditions"]):
        assert found.run["verdict"] in ("valid", "uncontrolled")
    if found.run["verdict"] == "uncontrolled" and not any(
        c["passed"] is False for c in found.run["conditions"]
    ):
        assert found.run["not_readable"]
