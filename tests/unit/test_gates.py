"""Gates are judged on intervals; what can't be told is undecided, never kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgesmith.errors import GateError, HarnessError, UndecidedError
from edgesmith.project.settings import GateSettings
from edgesmith.report.gates import GATE_NAMES, gate_error, gates_of, judge_gates
from edgesmith.report.outcome import measurement_failure

EXAMPLE = Path(__file__).parents[2] / "runtime_cpp/tests/data/report_example.json"


@pytest.fixture
def report() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(EXAMPLE.read_text())
    return content


def green(report: dict[str, Any]) -> dict[str, Any]:
    return {
        **report,
        "runs": report["runs"][:2],
        "comparisons": report["comparisons"][:1],
        "exit_code": 0,
    }


def test_a_growing_queue_keeps_no_limit_of_latency() -> None:
    report = json.loads(EXAMPLE.read_text())
    for run in report["runs"]:
        run |= {"latency": None, "scenario": {"kind": "fixed-rate"}}
        run["reasons"] = {"latency": "the queue grew"}
    gate, *_ = judge_gates(report, {"max_p99_latency_ms": 1e6}, variant="int8")
    assert (gate.outcome, gate.reason) == ("fail", "the queue grew")


def test_every_gate_of_the_settings_is_judged() -> None:
    assert frozenset(GateSettings.model_fields) == GATE_NAMES


# int8: p99 31.6 us [29.2, 36.5], p50 24.31 us [24.29, 24.36], peak 33554432, loss [-0.004, 0.008]
CASES = [
    ("max_p99_latency_ms", 0.0366, "pass"),
    ("max_p99_latency_ms", 0.0320, "undecided"),
    ("max_p99_latency_ms", 0.0290, "fail"),
    ("max_p50_latency_ms", 0.0250, "pass"),
    ("max_p50_latency_ms", 0.0240, "fail"),
    ("max_peak_rss_bytes", 33554432, "pass"),
    ("max_peak_rss_bytes", 33554431, "fail"),
    ("max_accuracy_loss", 0.008, "pass"),
    ("max_accuracy_loss", 0.005, "undecided"),
]


@pytest.mark.parametrize(("name", "limit", "outcome"), CASES)
def test_the_table_of_cases(report: dict[str, Any], name: str, limit: float, outcome: str) -> None:
    (gate,) = judge_gates(report, {name: limit}, variant="int8")
    assert gate.outcome == outcome
    assert gate.reason
    assert "without control" in gate.note


def test_an_unset_limit_is_no_gate(report: dict[str, Any]) -> None:
    assert judge_gates(report, GateSettings().model_dump(), variant="int8") == ()


def test_the_baseline_loses_nothing(report: dict[str, Any]) -> None:
    (gate,) = judge_gates(report, {"max_accuracy_loss": 0.0}, variant="fp32")
    assert gate.outcome == "pass"


def test_another_provider_of_the_same_variant_is_no_baseline(report: dict[str, Any]) -> None:
    """Without an FP32 run nothing tells what INT8 loses, however many providers ran it."""
    by_cpu = report["runs"][1]
    other = {**by_cpu, "key": by_cpu["key"].replace("/cpu/", "/openvino/")}
    other["requested"] = {**by_cpu["requested"], "provider": "openvino"}
    other["effective"] = {**by_cpu["effective"], "provider": "openvino"}
    pair = {**report["comparisons"][0], "baseline": by_cpu["key"], "candidate": other["key"]}
    report |= {"runs": [by_cpu, other], "comparisons": [pair]}
    gates = judge_gates(report, {"max_accuracy_loss": 0.0}, variant="int8")
    assert [gate.outcome for gate in gates] == ["undecided", "undecided"]
    assert "there is no FP32 run" in gates[0].reason


def test_an_unresolvable_percentile_is_undecided(report: dict[str, Any]) -> None:
    report["runs"][1]["latency"]["percentiles"]["99"] = {
        "value": None,
        "ci95": None,
        "samples_needed": 368,
        "reason": "too few samples",
    }
    (gate,) = judge_gates(report, {"max_p99_latency_ms": 1000.0}, variant="int8")
    assert gate.outcome == "undecided"
    assert "368" in gate.reason


@pytest.mark.parametrize("name", sorted(GATE_NAMES))
def test_a_failed_run_keeps_no_limit(report: dict[str, Any], name: str) -> None:
    (gate,) = judge_gates(report, {name: 1e12}, variant="fp16")
    assert gate.outcome == "undecided"


@pytest.mark.parametrize("name", sorted(GATE_NAMES))
def test_a_variant_not_measured_keeps_no_limit(report: dict[str, Any], name: str) -> None:
    (gate,) = judge_gates(report, {name: 1e12}, variant="absent")
    assert gate.outcome == "undecided"
    assert "not measured" in gate.reason


def test_emulated_latency_and_memory_are_undecided(report: dict[str, Any]) -> None:
    report["runs"][1]["verdict"] = "emulated"
    gates = judge_gates(
        report, {"max_p99_latency_ms": 1e6, "max_peak_rss_bytes": 1e12}, variant="int8"
    )
    assert [g.outcome for g in gates] == ["undecided", "undecided"]


def test_the_worst_outcome_decides_the_error(report: dict[str, Any]) -> None:
    limits = {"max_p99_latency_ms": 0.032, "max_peak_rss_bytes": 1.0, "max_accuracy_loss": 1.0}
    gates = judge_gates(report, limits, variant="int8")
    assert isinstance(gate_error(gates), GateError)
    assert isinstance(gate_error(gates[:1]), UndecidedError)
    assert gate_error(gates[2:]) is None
    assert gate_error(()) is None


def test_gates_come_back_from_a_report(report: dict[str, Any]) -> None:
    gates = judge_gates(report, {"max_p99_latency_ms": 0.032}, variant="int8")
    report["gates"] = json.loads(json.dumps([g.record() for g in gates]))
    assert gates_of(report) == gates


def test_a_failed_run_comes_before_gates(report: dict[str, Any]) -> None:
    gates = judge_gates(report, {"max_peak_rss_bytes": 1.0}, variant="int8")
    report["gates"] = [g.record() for g in gates]
    assert isinstance(measurement_failure(report), HarnessError)
    assert isinstance(measurement_failure(green(report)), GateError)


def test_a_failed_run_never_ends_green(report: dict[str, Any]) -> None:
    report["exit_code"] = 0
    assert isinstance(measurement_failure(report), HarnessError)


def test_valid_is_only_required_when_asked(report: dict[str, Any]) -> None:
    assert measurement_failure(green(report)) is None
    error = measurement_failure(green(report), require_valid=True)
    assert isinstance(error, UndecidedError)
    assert "uncontrolled" in error.what
