"""Gates: limits that a report must keep, judged on the interval and not on the point value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from edgesmith.errors import EdgesmithError, GateError, UndecidedError
from edgesmith.report.numbers import format_bytes, format_loss, format_time
from edgesmith.report.views import (
    ComparisonView,
    Measure,
    RunView,
    comparisons_of_variants,
    describe_configuration,
    runs_of,
    side_of,
)

GateOutcome = Literal["pass", "fail", "undecided"]
_NS_PER_MS = 1e6

_NOTES = {
    "valid": "",
    "uncontrolled": "measured without control over the CPU's frequency",
    "noisy": "measured on a noisy machine",
    "throttled": "measured while the device throttled",
    "emulated": "measured under emulation",
    "failed": "that failed",
}


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate on one run. `limit`, `value` and `ci95` are in `unit`.

    `note` says under which conditions it was measured when they were not controlled; `reason`
    says in words what was found.
    """

    name: str
    unit: str
    limit: float
    value: float | None
    ci95: tuple[float, float] | None
    run: str
    variant: str
    configuration: str
    outcome: GateOutcome
    reason: str
    note: str

    def record(self) -> dict[str, Any]:
        """The gate as JSON types."""
        return {**asdict(self), "ci95": list(self.ci95) if self.ci95 else None}


def gates_of(report: Mapping[str, Any]) -> tuple[Gate, ...]:
    """The gates that were judged when the report was written; none from the harness alone."""
    return tuple(
        Gate(**{**one, "ci95": tuple(one["ci95"]) if one["ci95"] else None})
        for one in report.get("gates", ())
    )


def judge_gates(
    report: Mapping[str, Any], limits: Mapping[str, float | None], *, variant: str
) -> tuple[Gate, ...]:
    """Every limit that is set, on every run of `variant`; the order is that of the limits.

    `limits` holds the keys of [gates]; an unknown one raises KeyError. A set limit for a
    variant that was not measured is undecided, never silently kept.
    """
    runs = [run for run in runs_of(report) if run.variant == variant]
    comparisons = comparisons_of_variants(report)
    gates = []
    for name, limit in limits.items():
        judge = _JUDGES[name]
        if limit is None:
            continue
        gates += [judge(run, name, float(limit), comparisons) for run in runs]
        if not runs:
            gates.append(_not_measured(name, float(limit), variant))
    return tuple(gates)


def gate_error(gates: Sequence[Gate]) -> EdgesmithError | None:
    """GateError when one failed, else UndecidedError when one is undecided, else None."""
    failed = [g for g in gates if g.outcome == "fail"]
    undecided = [g for g in gates if g.outcome == "undecided"]
    if failed:
        return GateError(
            "; ".join(f"{g.name} failed: {g.reason}" for g in failed),
            hint="make the model faster, smaller or more accurate, or change the limit in [gates]",
        )
    if undecided:
        return UndecidedError(
            "; ".join(f"{g.name} is undecided: {g.reason}" for g in undecided),
            hint="measure longer (bench.processes, bench.min_seconds, data.evaluation_samples)",
        )
    return None


_Judge = Callable[[RunView, str, float, Sequence[ComparisonView]], Gate]


def _latency(percentile: str) -> _Judge:
    def judge(run: RunView, name: str, limit: float, comparisons: Sequence[ComparisonView]) -> Gate:
        found = run.percentiles.get(
            percentile, Measure(value=None, reason=run.error or run.why_no_latency)
        )
        measure = _scaled(found, 1 / _NS_PER_MS)
        if run.verdict in ("emulated", "failed"):
            measure = Measure(value=None, reason=run.error or "emulated latencies claim nothing")
        gate = _gate(run, name, limit, measure, "ms", lambda v: format_time(v * _NS_PER_MS))
        if run.why_no_latency and run.verdict not in ("emulated", "failed"):
            # Frames wait without bounds.
            return replace(gate, outcome="fail", reason=run.why_no_latency)
        return gate

    return judge


def _peak_memory(
    run: RunView, name: str, limit: float, comparisons: Sequence[ComparisonView]
) -> Gate:
    # The peak is the largest that any process reached: a maximum, not an estimate.
    peak = None if run.verdict == "failed" else run.peak_rss_bytes
    untold = "the device does not tell the peak memory"
    emulated = "an emulator's memory claims nothing"
    reason = run.error or (emulated if run.verdict == "emulated" else untold)
    measure = Measure(value=peak, low=peak, high=peak, reason="" if peak is not None else reason)
    return _gate(run, name, limit, measure, "bytes", format_bytes)


def _accuracy_loss(
    run: RunView, name: str, limit: float, comparisons: Sequence[ComparisonView]
) -> Gate:
    mine = next((c for c in comparisons if c.candidate.key == run.key), None)
    if mine is not None:
        metric = mine.accuracy_metric
        return _gate(run, name, limit, mine.accuracy_loss, metric, partial(format_loss, metric))
    if any(c.baseline.key == run.key for c in comparisons) and run.verdict != "failed":
        measure = Measure(value=0.0, low=0.0, high=0.0)
    else:
        measure = Measure(value=None, reason=run.error or "there is no FP32 run to compare with")
    return _gate(run, name, limit, measure, "", lambda v: f"{v:g}")


_JUDGES: dict[str, _Judge] = {
    "max_p50_latency_ms": _latency("50"),
    "max_p99_latency_ms": _latency("99"),
    "max_peak_rss_bytes": _peak_memory,
    "max_accuracy_loss": _accuracy_loss,
}
GATE_NAMES = frozenset(_JUDGES)


def _gate(
    run: RunView,
    name: str,
    limit: float,
    measure: Measure,
    unit: str,
    form: Callable[[float], str],
) -> Gate:
    outcomes: dict[str, GateOutcome] = {"below": "pass", "above": "fail"}
    outcome = outcomes.get(side_of(measure, limit), "undecided")
    return Gate(
        name=name,
        unit=unit,
        limit=limit,
        value=measure.value,
        ci95=measure.interval,
        run=run.key,
        variant=run.variant,
        configuration=describe_configuration(run),
        outcome=outcome,
        reason=_reason(measure, limit, outcome, form),
        note=_NOTES[run.verdict],
    )


def _reason(
    measure: Measure, limit: float, outcome: GateOutcome, form: Callable[[float], str]
) -> str:
    if measure.low is None or measure.high is None or measure.value is None:
        needed = f"; {measure.samples_needed} samples are needed" if measure.samples_needed else ""
        return f"no interval is known: {measure.reason or 'not measured'}{needed}"
    found = form(measure.value)
    if measure.low != measure.high:
        found += f" (95 % interval {form(measure.low)} to {form(measure.high)})"
    relation = {
        "pass": "keeps the limit of",
        "fail": "exceeds the limit of",
        "undecided": "cannot be told from the limit of",
    }[outcome]
    return f"{found} {relation} {form(limit)}"


def _not_measured(name: str, limit: float, variant: str) -> Gate:
    return Gate(
        name=name,
        unit="",
        limit=limit,
        value=None,
        ci95=None,
        run="",
        variant=variant,
        configuration="",
        outcome="undecided",
        reason=f"{variant} was not measured; add it to bench.variants",
        note="",
    )


def _scaled(measure: Measure, factor: float) -> Measure:
    def scale(value: float | None) -> float | None:
        return None if value is None else value * factor

    return Measure(
        value=scale(measure.value),
        low=scale(measure.low),
        high=scale(measure.high),
        samples=measure.samples,
        samples_needed=measure.samples_needed,
        reason=measure.reason,
    )
