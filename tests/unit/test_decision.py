"""What ships: decided by intervals, and undecided where they straddle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgesmith.report.decision import decide
from edgesmith.report.proportions import Z

EXAMPLE = Path(__file__).parents[2] / "runtime_cpp/tests/data/report_example.json"


def report_with(
    speed: tuple[float, float, float] = (2.5, 2.4, 2.6),
    loss: tuple[float, float, float] = (0.002, -0.004, 0.008),
    verdict: str = "valid",
) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(EXAMPLE.read_text())
    report["runs"] = report["runs"][:2]
    report["comparisons"] = report["comparisons"][:1]
    one = report["comparisons"][0]
    one["speedup"] = {"value": speed[0], "ci95": [speed[1], speed[2]]}
    one["accuracy_loss"] |= {"value": loss[0], "ci95": [loss[1], loss[2]]}
    for run in report["runs"]:
        run["verdict"] = verdict
    return report


CASES = [
    # speed-up, loss, shipped, faster, within the budget of 0.01
    ((2.5, 2.4, 2.6), (0.002, -0.004, 0.008), "int8", True, True),
    ((2.5, 2.4, 2.6), (0.010, 0.005, 0.010), "int8", True, True),
    ((2.5, 2.4, 2.6), (0.030, 0.020, 0.040), "fp32", True, False),
    ((0.9, 0.8, 0.95), (0.0, -0.001, 0.001), "fp32", False, True),
    ((0.9, 0.8, 0.95), (0.008, -0.01, 0.02), "fp32", False, None),
    ((1.02, 0.97, 1.06), (0.03, 0.02, 0.04), "fp32", None, False),
    ((1.02, 0.97, 1.06), (0.0, -0.001, 0.001), None, None, True),
    ((2.5, 2.4, 2.6), (0.008, -0.01, 0.02), None, True, None),
    ((1.02, 0.97, 1.06), (0.008, -0.01, 0.02), None, None, None),
    ((1.1, 1.0, 1.2), (0.0, 0.0, 0.0), None, None, True),
]


@pytest.mark.parametrize(("speed", "loss", "ship", "faster", "within"), CASES)
def test_the_table_of_cases(
    speed: tuple[float, float, float],
    loss: tuple[float, float, float],
    ship: str | None,
    faster: bool | None,
    within: bool | None,
) -> None:
    decision = decide(report_with(speed, loss), accuracy_budget=0.01)
    assert (decision.ship, decision.faster, decision.within_budget) == (ship, faster, within)
    assert decision.reason
    assert decision.advice or ship == "int8"


def test_another_providers_speed_decides_nothing() -> None:
    report = report_with()
    fallen_back = next(run for run in report["runs"] if run["requested"]["variant"] == "int8")
    fallen_back["requested"]["provider"] = "cuda"
    decision = decide(report, accuracy_budget=0.01)
    assert (decision.outcome, decision.ship) == ("not-comparable", None)
    assert decision.reason == "int8 was run by cpu in the place of cuda"
    assert "where cuda can be used" in decision.advice


def test_rounding_noise_does_not_break_the_budget() -> None:
    loss = 0.982 - 0.972
    assert loss > 0.01
    assert decide(report_with(loss=(loss, loss, loss)), accuracy_budget=0.01).ship == "int8"


def test_uncontrolled_counts_and_throttled_does_not() -> None:
    assert decide(report_with(verdict="uncontrolled"), accuracy_budget=0.01).ship == "int8"
    for verdict in ("throttled", "emulated"):
        decision = decide(report_with(verdict=verdict), accuracy_budget=0.01)
        assert decision.ship is None
        assert verdict in decision.reason


def test_advice_says_how_many_samples_would_decide() -> None:
    # 500 samples give +-0.01 around 0.005; +-0.005 is needed: four times as many.
    decision = decide(report_with(loss=(0.005, -0.005, 0.015)), accuracy_budget=0.01)
    assert "about 2000 would decide" in decision.advice


def test_noise_is_told_beside_what_ships() -> None:
    decision = decide(report_with(verdict="noisy"), accuracy_budget=0.01)
    assert decision.ship == "int8" and "noisy" in decision.advice
    assert not decide(report_with(), accuracy_budget=0.01).advice


def test_without_a_changed_answer_the_width_falls_with_the_number() -> None:
    half = Z**2 / (14 + Z**2)
    report = report_with(loss=(0.0, -half, half))
    report["comparisons"][0]["accuracy_loss"]["samples"] = 14
    for run in report["runs"]:
        for entry in run["accuracy"]:
            entry["samples"] = 14
    decision = decide(report, accuracy_budget=0.01)
    assert decision.ship is None and "about 390 would decide" in decision.advice


def test_a_failed_candidate_is_no_decision() -> None:
    report: dict[str, Any] = json.loads(EXAMPLE.read_text())
    report["comparisons"] = report["comparisons"][1:]
    decision = decide(report, accuracy_budget=0.01)
    assert (decision.outcome, decision.ship) == ("not-comparable", None)
    assert "fp16 failed" in decision.reason


def test_the_best_candidate_of_several_ships() -> None:
    report: dict[str, Any] = json.loads(EXAMPLE.read_text())
    assert decide(report, accuracy_budget=0.01).ship == "int8"


def test_nothing_to_compare() -> None:
    report = report_with()
    report["comparisons"], report["runs"] = [], report["runs"][1:]
    decision = decide(report, accuracy_budget=0.01)
    assert decision.outcome == "not-comparable"
    assert "only int8 was measured" in decision.reason
    report["runs"] = []
    assert decide(report, accuracy_budget=0.01).ship is None


def test_another_configuration_that_comes_out_otherwise_is_told() -> None:
    report = report_with()
    slow = json.loads(json.dumps(report).replace("threads=1", "threads=4"))
    for run in slow["runs"]:
        run["requested"]["threads"] = 4
    slow["comparisons"][0]["speedup"] = {"value": 0.9, "ci95": [0.8, 0.95]}
    report["runs"] += slow["runs"]
    report["comparisons"] += slow["comparisons"]
    decision = decide(report, accuracy_budget=0.01)
    assert decision.ship == "int8"
    assert len(decision.others) == 1
    assert "4 threads" in decision.others[0]
    assert "fp32 is the better choice" in decision.others[0]


def test_the_record_is_json() -> None:
    record = decide(report_with(), accuracy_budget=0.01).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
