"""What to ship, and why: a pure function of the measurements and the accuracy budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgesmith.metric_names import is_python_metric
from edgesmith.report.numbers import format_interval, format_loss, format_ratio
from edgesmith.report.views import (
    ComparisonView,
    RunView,
    comparisons_of_variants,
    describe_configuration,
    runs_of,
    side_of,
)

Outcome = Literal["ship-candidate", "ship-baseline", "undecided", "not-comparable"]

# Latencies of such runs say nothing about the device's speed.
_NO_LATENCY_CLAIM = ("emulated", "throttled")
_NOISY = (
    "the machine was noisy: measure again with nothing else running before the speed-up is quoted"
)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`ship` is the variant to ship, None while undecided.

    `faster` and `within_budget` are None where the interval straddles the limit or is not known.
    `configuration` says for which threads and shapes; `others` how the rest of them came out.
    """

    outcome: Outcome
    ship: str | None
    reason: str
    advice: str
    candidate: str | None = None
    baseline: str | None = None
    configuration: str | None = None
    faster: bool | None = None
    within_budget: bool | None = None
    accuracy_budget: float | None = None
    others: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """The decision as JSON types."""
        record = asdict(self)
        record["others"] = list(self.others)
        return record


def decide(report: Mapping[str, Any], *, accuracy_budget: float) -> Decision:
    """The decision for the first configuration measured; `accuracy_budget` in the metric's unit.

    INT8 (or any other candidate) ships when its accuracy loss keeps the budget and it is faster,
    each with its whole 95 % interval. Of several such candidates the fastest ships.
    """
    comparisons = comparisons_of_variants(report)
    if not comparisons:
        return _nothing_compared(runs_of(report), accuracy_budget)
    first = comparisons[0].candidate.configuration
    verdicts = [_judge(c, accuracy_budget) for c in comparisons]
    here = [
        (verdict, one.speedup.value or 0.0)
        for verdict, one in zip(verdicts, comparisons, strict=True)
        if one.candidate.configuration == first
    ]
    chosen = _best(here)
    others = tuple(
        f"{v.candidate} with {v.configuration}: {_in_short(v)}"
        for v in verdicts
        if v.configuration != chosen.configuration and v.outcome != chosen.outcome
    )
    return Decision(**{**_fields(chosen), "others": others})


def _fields(decision: Decision) -> dict[str, Any]:
    return dict(vars(decision))


def _best(verdicts: list[tuple[Decision, float]]) -> Decision:
    """The best outcome; of several the one with the largest speed-up."""
    order: list[Outcome] = ["ship-candidate", "undecided", "ship-baseline", "not-comparable"]
    return min(verdicts, key=lambda one: (order.index(one[0].outcome), -one[1]))[0]


def _in_short(decision: Decision) -> str:
    match decision.outcome:
        case "ship-candidate" | "ship-baseline":
            return f"{decision.ship} is the better choice"
        case _:
            return decision.reason


def _nothing_compared(runs: tuple[RunView, ...], budget: float) -> Decision:
    failed = next((run for run in runs if run.verdict == "failed"), None)
    measured = ", ".join(dict.fromkeys(run.variant for run in runs)) or "nothing"
    if failed is not None:
        reason = f"the run of {failed.variant} failed: {failed.error}"
        advice = "mend the failure and measure again"
    else:
        reason = f"only {measured} was measured: there are no two variants to compare"
        advice = "list fp32 and int8 in bench.variants and measure again"
    return Decision(
        outcome="not-comparable",
        ship=None,
        reason=reason,
        advice=advice,
        accuracy_budget=budget,
    )


def _judge(one: ComparisonView, budget: float) -> Decision:
    faster = _faster(one)
    within = {"below": True, "above": False}.get(side_of(one.accuracy_loss, budget))
    names = one.candidate.variant, one.baseline.variant
    titles = one.candidate.title, one.baseline.title
    outcome: Outcome
    ship: str | None
    if "failed" in (one.candidate.verdict, one.baseline.verdict):
        outcome, ship, reason, advice = _failed(one)
    elif fallen_back := _fallen_back(one):
        outcome, ship, reason, advice = _by_others(fallen_back)
    elif within is False:
        outcome, ship = "ship-baseline", names[1]
        reason = f"{names[0]} loses {_loss(one)}, more than the budget of {_budget(one, budget)}"
        advice = "exclude sensitive layers, try another calibration, or raise the budget"
    elif faster is False:
        outcome, ship = "ship-baseline", names[1]
        reason = f"{titles[0]} is not faster: {_speed(one)} the speed of {titles[1]}"
        advice = f"quantizing this model does not pay on this device; {names[1]} costs no accuracy"
    elif faster and within:
        outcome, ship = "ship-candidate", names[0]
        reason = (
            f"{titles[0]} runs at {_speed(one)} the speed of {titles[1]} and its loss,"
            f" {_loss(one)},"
            f" keeps the budget of {_budget(one, budget)}"
        )
        advice = _NOISY if "noisy" in (one.candidate.verdict, one.baseline.verdict) else ""
    else:
        outcome, ship = "undecided", None
        reason, advice = _undecided(one, budget, faster=faster, within=within)
    return Decision(
        outcome=outcome,
        ship=ship,
        reason=reason,
        advice=advice,
        candidate=names[0],
        baseline=names[1],
        configuration=describe_configuration(one.candidate),
        faster=faster,
        within_budget=within,
        accuracy_budget=budget,
    )


def _faster(one: ComparisonView) -> bool | None:
    if {one.candidate.verdict, one.baseline.verdict} & set(_NO_LATENCY_CLAIM):
        return None
    if one.speedup.low is not None and one.speedup.low > 1.0:
        return True
    if one.speedup.high is not None and one.speedup.high < 1.0:
        return False
    return None


def _failed(one: ComparisonView) -> tuple[Outcome, None, str, str]:
    failed = one.candidate if one.candidate.verdict == "failed" else one.baseline
    reason = f"the run of {failed.variant} failed: {failed.error}"
    return "not-comparable", None, reason, "mend the failure and measure again"


def _fallen_back(one: ComparisonView) -> list[RunView]:
    """Those that another provider ran than the one that was to."""
    runs = (one.candidate, one.baseline)
    return [run for run in runs if run.provider != run.asked_provider]


def _by_others(runs: list[RunView]) -> tuple[Outcome, None, str, str]:
    """The speed of another provider is not that of the one that was asked for."""
    told = " and ".join(
        f"{run.variant} was run by {run.provider} in the place of {run.asked_provider}"
        for run in runs
    )
    advice = f"measure where {runs[0].asked_provider} can be used, or ask for {runs[0].provider}"
    return "not-comparable", None, told, advice


def _undecided(
    one: ComparisonView, budget: float, *, faster: bool | None, within: bool | None
) -> tuple[str, str]:
    reasons, advice = [], []
    if within is None:
        found = _loss_or_reason(one)
        reasons.append(
            f"the accuracy loss of {one.candidate.variant} ({found or 'not known'}) cannot be told"
            f" from the budget of {_budget(one, budget)}"
        )
        advice.append(_more_samples(one, budget))
    if faster is None:
        verdicts = {one.candidate.verdict, one.baseline.verdict} & set(_NO_LATENCY_CLAIM)
        if verdicts:
            reasons.append(f"the latencies are {' and '.join(sorted(verdicts))}")
            advice.append("measure on the device itself, cool and with nothing else running")
        else:
            reasons.append(f"no difference in speed can be shown ({_speed(one)})")
            advice.append("raise bench.processes and bench.min_seconds")
    return "; ".join(reasons), "; ".join(advice)


def _loss_or_reason(one: ComparisonView) -> str:
    loss = one.accuracy_loss
    if loss.interval is not None or loss.value is None:
        return _loss(one)
    return f"{_loss(one)}; {loss.reason}"


def _more_samples(one: ComparisonView, budget: float) -> str:
    loss = one.accuracy_loss
    if is_python_metric(one.accuracy_metric) and loss.interval is None and not loss.groups:
        return f"let {one.accuracy_metric} return a number for each sample"
    default = "add evaluation samples (data.evaluation_samples)"
    if loss.groups:
        default = "add groups of evaluation samples, such as other pictures"
    count = loss.groups or loss.samples
    if loss.value is None or loss.low is None or loss.high is None or not count:
        return default
    margin = abs(budget - loss.value)
    half_width = loss.high - loss.value if loss.value < budget else loss.value - loss.low
    if margin == 0 or half_width <= 0:
        return default
    needed = _needed(count, half_width, margin)
    if needed > 1000 * count:
        return f"{default}; the loss lies so near the budget that no practical number decides it"
    return f"{default}: about {_round_up(needed)} would decide"


def _needed(count: int, half_width: float, margin: float) -> float:
    """How many samples give an interval of half the width `margin`.

    The width falls with the square root of their number; where no answer changed, with the number.
    """
    from edgesmith.report.proportions import Z

    if math.isclose(half_width, Z**2 / (count + Z**2), rel_tol=1e-9):
        return Z**2 / margin - Z**2
    return count * (half_width / margin) ** 2


def _round_up(number: float) -> int:
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return int(math.ceil(number / step) * step)


def _speed(one: ComparisonView) -> str:
    speed = one.speedup
    if speed.value is None:
        return speed.reason or "unknown"
    return format_ratio(speed.value) + format_interval(speed, format_ratio)


def _loss(one: ComparisonView) -> str:
    loss, metric = one.accuracy_loss, one.accuracy_metric
    if loss.value is None:
        return loss.reason or "unknown"
    text = format_loss(metric, loss.value)
    return text + format_interval(loss, lambda v: format_loss(metric, v, unit=False))


def _budget(one: ComparisonView, budget: float) -> str:
    return format_loss(one.accuracy_metric, budget)
