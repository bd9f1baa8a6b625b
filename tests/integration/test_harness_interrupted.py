"""Signals in each phase of a measurement: a report that says so, no process and no file left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from held import PHASES, held, state_of, wait_for
from sanitized import require_no_finding

from edgesmith.report.schema import load_report

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
        one.process.kill()
        code, _ = one.end()
        assert code == -signal.SIGKILL
        if child is not None:
            wait_for(lambda: state_of(child) in ("gone", "Z"))
    assert not one.report.exists()
