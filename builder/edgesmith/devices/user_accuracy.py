"""Puts what the project's own metrics found on a device's outputs into its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.data.samples import GROUPS, LABELS, Array, Samples
from edgesmith.devices.outputs import DeviceOutputs
from edgesmith.errors import HarnessError
from edgesmith.model.user_metrics import (
    OutputFiles,
    UserMetrics,
    UserMetricValue,
    failed_values,
)
from edgesmith.report.numbers import significant
from edgesmith.report.proportions import difference_interval, share_interval
from edgesmith.report.resampling import mean_interval
from edgesmith.report.schema import Report

ONE_NUMBER = "the metric gives one number for all samples, not one for each: no interval"
_ONE_GROUP = "all samples are of one group"
_NO_SPREAD = "resampling gives one value each time, which shows no spread"


@dataclass(frozen=True, kw_only=True)
class UserAccuracy:
    """Values by metric and variant; `runs` names for each variant the run that they are of.

    `groups` are None where samples are independent; `basis` is labels or reference.
    """

    values: Mapping[str, Mapping[str, UserMetricValue]]
    runs: Mapping[str, str]
    groups: Array | None
    basis: str


# What each run was asked for, by its key.
_Asked = Mapping[str, Mapping[str, Any]]
# One run of a variant leaves its outputs.
_OTHER_PROVIDER = "computed from the outputs by another provider alone"


def with_user_accuracy(report: Report, found: UserAccuracy) -> Report:
    """The report with the metrics in each run's accuracy, in comparisons, and their failures."""
    asked = {run["key"]: run["requested"] for run in report["runs"]}
    runs = [_run(run, asked, found) for run in report["runs"]]
    comparisons = [_comparison(one, asked, found) for one in report["comparisons"]]
    failures = _failures(found, _measured_variants(report))
    errors = {"metric_errors": failures} if failures else {}
    return {**report, "runs": runs, "comparisons": comparisons, **errors}


def _run(run: Mapping[str, Any], asked: _Asked, found: UserAccuracy) -> dict[str, Any]:
    if run["accuracy"] is None:
        return dict(run)
    added = [_entry(name, run["key"], asked, found) for name in found.values]
    return {**run, "accuracy": [*run["accuracy"], *added]}


def _entry(metric: str, key: str, asked: _Asked, found: UserAccuracy) -> dict[str, Any]:
    variant = asked[key]["variant"]
    one = found.values[metric][variant]
    entry = {
        "metric": metric,
        # It may look at all of the outputs.
        "output": "",
        "samples": one.samples,
        "basis": found.basis,
        "higher_is_better": True,
        **_value(one, found.groups, is_share=_is_share(found.values[metric])),
    }
    of = found.runs.get(variant, key)
    if not _same_provider(key, asked, found):
        return {**entry, **_measured(None, None, found.groups, _OTHER_PROVIDER)}
    return entry if of == key else {**entry, "outputs_of": of}


def _same_provider(key: str, asked: _Asked, found: UserAccuracy) -> bool:
    """Whether the outputs that the metrics saw are by the provider of this run."""
    of = found.runs.get(asked[key]["variant"], key)
    return of not in asked or asked[of].get("provider") == asked[key].get("provider")


def _reason(one: UserMetricValue) -> str:
    """Why there is no value; empty when there is one."""
    failure = one.failure
    if failure is None:
        return ""
    return f"{failure.what} ({failure.where})" if failure.where else failure.what


def _value(one: UserMetricValue, groups: Array | None, *, is_share: bool) -> dict[str, Any]:
    if one.value is None or one.per_sample is None:
        return _measured(one.value, None, groups, _reason(one) or ONE_NUMBER)
    interval = share_interval if is_share else mean_interval
    return _measured(one.value, interval(one.per_sample, groups), groups, "")


def _is_share(by_variant: Mapping[str, UserMetricValue]) -> bool:
    """Whether a metric says right or wrong for each sample: 0 or 1 in all variants.

    Zeros alone may be errors that did not happen.
    """
    arrays = [one.per_sample for one in by_variant.values() if one.per_sample is not None]
    of_bits = all(bool(((array == 0) | (array == 1)).all()) for array in arrays)
    return of_bits and any(bool((array == 1).any()) for array in arrays)


def _measured(
    value: float | None, interval: tuple[float, float] | None, groups: Array | None, reason: str
) -> dict[str, Any]:
    measured: dict[str, Any] = {"value": value, "ci95": interval and list(interval)}
    count = None if groups is None else len(set(groups.tolist()))
    if count is not None:
        measured["groups"] = count
    if interval is None:
        measured["reason"] = reason or (_ONE_GROUP if count == 1 else _NO_SPREAD)
    return measured


def _comparison(one: Mapping[str, Any], asked: _Asked, found: UserAccuracy) -> dict[str, Any]:
    metric = one["accuracy_loss"]["metric"]
    if metric not in found.values:
        return dict(one)
    sides = [one["baseline"], one["candidate"]]
    if not all(_same_provider(key, asked, found) for key in sides):
        lost = _measured(None, None, found.groups, _OTHER_PROVIDER)
        loss = {"metric": metric, **lost}
        return {**one, "accuracy_loss": loss, "advice": f"{one['advice']}; {_words(metric, loss)}"}
    pair = [found.values[metric][asked[key]["variant"]] for key in sides]
    is_share = _is_share(found.values[metric])
    loss = {"metric": metric, **_loss(*pair, groups=found.groups, is_share=is_share)}
    return {**one, "accuracy_loss": loss, "advice": f"{one['advice']}; {_words(metric, loss)}"}


def _loss(
    baseline: UserMetricValue, candidate: UserMetricValue, *, groups: Array | None, is_share: bool
) -> dict[str, Any]:
    """Baseline minus candidate, paired by sample: higher is better."""
    for one in (baseline, candidate):
        if one.value is None:
            return _measured(None, None, groups, _reason(one))
    assert baseline.value is not None and candidate.value is not None
    value = baseline.value - candidate.value
    before, after = baseline.per_sample, candidate.per_sample
    if before is None or after is None:
        return _measured(value, None, groups, ONE_NUMBER)
    if is_share:
        interval = difference_interval(before, after, groups)
    else:
        interval = mean_interval(before - after, groups)
    lost = float((before - after).mean())
    return {"samples": len(before), **_measured(lost, interval, groups, "")}


def _words(metric: str, loss: Mapping[str, Any]) -> str:
    """As the harness says it of its own metrics."""
    if loss["value"] is None:
        return f"loss in {metric} is not known ({loss['reason']})"
    if loss["ci95"] is None:
        return f"loss in {metric}: {significant(loss['value'])}"
    low, high = loss["ci95"]
    if low > 0:
        return f"{metric} is worse by {significant(loss['value'])}"
    if high < 0:
        return f"{metric} is better by {significant(-loss['value'])}"
    return f"no loss in {metric} can be shown, at most {significant(high)}"


def _measured_variants(report: Report) -> set[str]:
    """Of the others the run's own failure says it all."""
    return {r["requested"]["variant"] for r in report["runs"] if r["accuracy"] is not None}


def _failures(found: UserAccuracy, variants: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "variant": variant,
            "message": one.failure.what,
            "where": one.failure.where,
            "hint": one.failure.hint,
            "code": one.failure.exit_code,
        }
        for metric, by_variant in found.values.items()
        for variant, one in by_variant.items()
        if one.failure is not None and variant in variants
    ]


def measure_user_accuracy(
    metrics: Sequence[str],
    measured: UserMetrics,
    outputs: Mapping[str, DeviceOutputs],
    samples: Path,
) -> UserAccuracy:
    """Runs the metrics on the outputs of each variant; `samples` are those that it was fed."""
    stored = Samples(samples)
    files = {name: one.file for name, one in outputs.items() if one.file is not None}
    # All variants have the outputs of one model.
    names = next((one.names for one in outputs.values() if one.file is not None), ())
    values: dict[str, dict[str, UserMetricValue]] = {metric: {} for metric in metrics}
    if files:
        given = OutputFiles(files=files, names=names, samples=samples, reference=samples)
        values |= measured.measure(metrics, given)
    for variant, one in outputs.items():
        if one.file is None:
            missing = failed_values([variant], _no_outputs(variant, one.reason))
            values = {metric: {**values[metric], **missing} for metric in metrics}
    return UserAccuracy(
        values=values,
        runs={name: one.run for name, one in outputs.items() if one.run is not None},
        groups=stored.whole(GROUPS) if stored.has(GROUPS) else None,
        basis="labels" if stored.has(LABELS) else "reference",
    )


def _no_outputs(variant: str, reason: str) -> HarnessError:
    return HarnessError(
        f"the outputs of {variant} did not come back from the device: {reason}",
        hint="mend that and measure again",
    )
