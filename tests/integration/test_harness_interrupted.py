"""Signals in each phase of a measurement: a report that says so, no process and no file left."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from held import PHASES, held, state_of, wait_for
from sanitized import DEADLINE_S, require_no_finding

from edgesmith.report.schema import load_report
from workbench import Edgesmith

MEASURING = [phase for phase in PHASES if phase != "writing"]
INTERRUPTS = [
    *((phase, signal.SIGTERM) for phase in MEASURING),
    *((phase, signal.SIGINT) for phase in MEASURING),
    ("measure", signal.SIGHUP),
]


def interrupt_id(value: object) -> str:
    return value.name if isinstance(value, signal.Signals) else str(value)


@pytest.fixture
def harness(sanitized_libraries: Path) -> Path:
    return sanitized_libraries / "harness"


@pytest.mark.parametrize(("phase", "number"), INTERRUPTS, ids=interrupt_id)
def test_an_interrupt_ends_the_run_with_a_report(
    phase: str, number: int, harness: Path, tmp_path: Path
) -> None:
    with held(phase, harness, tmp_path) as one:
        child = one.measuring()
        one.process.send_signal(number)
        one.let_go(child)
        code, err = one.end()
    assert code == 130, err
    require_no_finding(err)
    report = load_report(one.report)
    assert report["exit_code"] == 130
    assert report["runs"][0]["error"]["stage"] == "interrupted"
    assert report["runs"][0]["verdict"] == "failed"
    assert child is not None and state_of(child) == "gone"
    assert one.left() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=interrupt_id)
def test_what_was_measured_is_written_in_spite_of_an_interrupt(
    number: int, harness: Path, tmp_path: Path
) -> None:
    with held("writing", harness, tmp_path) as one:
        one.process.send_signal(number)
        one.let_go()
        code, err = one.end()
    assert code == 0, err
    require_no_finding(err)
    assert load_report(one.report)["runs"][0]["error"] is None
    assert one.left() == []


@pytest.mark.parametrize("phase", MEASURING)
def test_a_measuring_process_that_is_killed(phase: str, harness: Path, tmp_path: Path) -> None:
    with held(phase, harness, tmp_path) as one:
        child = one.measuring()
        assert child is not None
        os.kill(child, signal.SIGKILL)
        one.let_go(child)
        code, err = one.end()
    assert code == 8, err
    require_no_finding(err)
    error = load_report(one.report)["runs"][0]["error"]
    assert error["signal"] == signal.SIGKILL and "memory" in error["message"]
    assert one.left() == []


@pytest.mark.parametrize("phase", ["load", "measure", "writing"])
def test_a_harness_that_is_killed_takes_its_measuring_process_along(
    phase: str, harness: Path, tmp_path: Path
) -> None:
    with held(phase, harness, tmp_path) as one:
        child = one.measuring()
        tracer = one.tracer()
        one.process.kill()
        os.kill(tracer, signal.SIGKILL)
        code, _ = one.end()
        assert code == -signal.SIGKILL
        if child is not None:
            wait_for(lambda: state_of(child) in ("gone", "Z"))
    assert not one.report.exists()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def measuring_below(ancestor: int) -> int | None:
    """The measuring process that a process's descendant started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            pid = int(folder.name)
            if words[:2] != [b"harness", b"measure"]:
                continue
            while pid > 1 and pid != ancestor:
                pid = parent_of(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if pid == ancestor:
            return int(folder.name)
    return None


def test_the_host_reports_a_harness_that_is_killed(digits: Edgesmith) -> None:
    digits.ok("flash")
    long = replace(digits, environment={"EDGESMITH_BENCH__MIN_SECONDS": "500"})
    process = long.start("bench", "--format", "json")
    wait_for(lambda: measuring_below(process.pid) is not None)
    child = measuring_below(process.pid)
    assert child is not None
    os.kill(parent_of(child), signal.SIGKILL)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 8, err
    (measured,) = json.loads(out)["devices"]
    report = load_report(Path(measured["file"]))
    assert report["error"]["signal"] == signal.SIGKILL
    assert {run["verdict"] for run in report["runs"]} == {"failed"}
    wait_for(lambda: state_of(child) in ("gone", "Z"))
