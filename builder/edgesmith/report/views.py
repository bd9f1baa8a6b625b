"""Typed views of a report's runs and comparisons, so that judging and showing share one reading."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Side = Literal["below", "above", "straddles", "unknown"]

# Differences of accuracies like 0.982 - 0.972 carry rounding noise of this order.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A value with its 95 % interval; `reason` says why either is missing.

    `samples` is what it was computed from, in `groups` where they are not independent;
    `samples_needed` from how many it could be.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    samples: int | None = None
    groups: int | None = None
    samples_needed: int | None = None
    reason: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """An accuracy metric of one model output; `basis` is labels or reference."""

    name: str
    output: str
    basis: str
    measure: Measure


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something a valid measurement needs; `passed` is None when it could not be told.

    `value` and `limit` are given, in `unit`, where it is a number that was judged.
    """

    name: str
    passed: bool | None
    advice: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run. Times are in ns, memory and size in bytes.

    `not_readable` names what would have told more about the machine.

    `load_ns` and `first_inference_ns` are medians over the processes, `peak_rss_bytes` and
    `anonymous_bytes` the largest of them; an emulated run has none of them, and no conditions: they
    are the emulator's.
    `found` is what the run's scenario found beside latencies; empty for a single stream.
    `asked_provider` is the one that was to run it, `provider` the one that did.
    `title` is the variant, with its provider where the runs of the report differ in that; then
    `shared_provider` is empty. `placement` counts nodes by ONNX Runtime's provider, `elsewhere`
    those of others than the run's by operator type; `fallbacks` are lines. `copies` is what a run
    by a GPU tells of copies to its memory and back, `copies_in_graph` counts such nodes.
    """

    key: str
    variant: str
    provider: str
    threads: int
    shapes: Mapping[str, int]
    scenario: str
    verdict: str
    error: str
    percentiles: Mapping[str, Measure]
    samples: int | None
    throughput_per_s: float | None
    metrics: tuple[Metric, ...]
    agreement: Measure | None
    processes: int
    load_ns: float | None
    first_inference_ns: float | None
    peak_rss_bytes: int | None
    anonymous_bytes: int | None
    size_bytes: int | None
    conditions: tuple[Condition, ...]
    found: Mapping[str, Any]
    profile: tuple[Mapping[str, Any], ...] = ()
    not_readable: tuple[str, ...] = ()
    joules_per_inference: float | None = None
    why_no_latency: str = ""
    asked_provider: str = ""
    title: str = ""
    shared_provider: str = ""
    placement: Mapping[str, int] = field(default_factory=dict)
    elsewhere: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()
    copies: Mapping[str, Any] = field(default_factory=dict)
    copies_in_graph: Mapping[str, int] = field(default_factory=dict)

    @property
    def configuration(self) -> tuple[str, int, tuple[tuple[str, int], ...], str]:
        """What runs have in common that may be put side by side."""
        shapes = tuple(sorted(self.shapes.items()))
        return self.shared_provider, self.threads, shapes, self.scenario


@dataclass(frozen=True, kw_only=True)
class ComparisonView:
    """A candidate run against its baseline; both None-able runs are in the report."""

    baseline: RunView
    candidate: RunView
    speedup: Measure
    accuracy_metric: str
    accuracy_loss: Measure
    mcnemar_p: float | None
    size_ratio: float | None
    advice: str


def side_of(measure: Measure, limit: float) -> Side:
    """On which side of `limit` the whole interval lies; touching it counts as below."""
    if measure.low is None or measure.high is None:
        return "unknown"
    slack = _ROUNDING * max(1.0, abs(limit))
    if measure.high <= limit + slack:
        return "below"
    return "above" if measure.low > limit + slack else "straddles"


def runs_of(report: Mapping[str, Any]) -> tuple[RunView, ...]:
    """The runs in the report's order."""
    sizes = {v["name"]: v["bytes"] for v in report["context"]["bundle"]["variants"]}
    providers = {_provider(run) for run in report["runs"]}
    shared = next(iter(providers)) if len(providers) == 1 else ""
    return tuple(_run(run, sizes, shared) for run in report["runs"])


def comparisons_of(report: Mapping[str, Any]) -> tuple[ComparisonView, ...]:
    """The comparisons whose two runs are in the report."""
    runs = {run.key: run for run in runs_of(report)}
    return tuple(
        _comparison(one, runs)
        for one in report["comparisons"]
        if one["baseline"] in runs and one["candidate"] in runs
    )


def comparisons_of_variants(report: Mapping[str, Any]) -> tuple[ComparisonView, ...]:
    """Those of different variants: the same by another provider is the same model."""
    return tuple(
        one for one in comparisons_of(report) if one.candidate.variant != one.baseline.variant
    )


def describe_configuration(run: RunView) -> str:
    """Such as "cpu, 1 thread, batch 4"."""
    threads = (
        "threads chosen by the runtime"
        if run.threads == 0
        else (f"{run.threads} thread{'' if run.threads == 1 else 's'}")
    )
    shapes = [f"{name} {size}" for name, size in sorted(run.shapes.items())]
    provider = [run.shared_provider] if run.shared_provider else []
    return ", ".join([*provider, threads, *shapes, *_scenario_words(run.scenario)])


def _scenario_words(scenario: str) -> list[str]:
    """Such as "30 frames/s"; nothing for a single stream, which is the usual case."""
    kind, _, number = scenario.partition(":")
    match kind:
        case "offline":
            return [f"{number} stream{'' if number == '1' else 's'} at once"]
        case "fixed-rate":
            return [f"{number} frames/s"]
        case "soak":
            return [f"soak of {number} s"]
    return []


def _provider(run: Mapping[str, Any]) -> str:
    """The one that was used; the one that was asked for where nothing ran."""
    return str((run["effective"] or run["requested"])["provider"])


def _fallbacks(effective: Mapping[str, Any]) -> tuple[str, ...]:
    outside = effective.get("unverified_library")
    told = (f"the library {outside} did not come with the bundle: unverified",) if outside else ()
    return told + tuple(
        f"provider {one['provider']} is not used: {one['reason']};"
        f" {effective['provider']} takes its place"
        for one in effective.get("fallbacks", ())
    )


def _run(run: Mapping[str, Any], sizes: Mapping[str, int | None], shared: str) -> RunView:
    asked, effective = run["requested"], run["effective"] or {}
    latency = run["latency"] or {}
    processes = run["processes"]
    own = [] if run["verdict"] == "emulated" else processes
    return RunView(
        key=run["key"],
        variant=asked["variant"],
        provider=_provider(run),
        asked_provider=asked["provider"],
        title=asked["variant"] if shared else f"{asked['variant']} by {_provider(run)}",
        shared_provider=shared,
        placement=effective.get("placement") or {},
        elsewhere=effective.get("elsewhere") or {},
        fallbacks=_fallbacks(effective),
        copies=(run.get("copies") or {}) if own else {},
        copies_in_graph=effective.get("copies_in_graph") or {},
        threads=asked["threads"],
        shapes=asked["shapes"],
        scenario=asked["scenario"],
        verdict=run["verdict"],
        error=(run["error"] or {}).get("message", ""),
        percentiles={k: _measure(v) for k, v in latency.get("percentiles", {}).items()},
        samples=latency.get("count"),
        why_no_latency=run.get("reasons", {}).get("latency", ""),
        throughput_per_s=run["throughput_per_s"],
        metrics=tuple(_metric(one) for one in run["accuracy"] or ()),
        agreement=_measure(run["reference"]["agreement"]) if run["reference"] else None,
        processes=len(processes),
        load_ns=_median(p["load_ns"] for p in own),
        first_inference_ns=_median(p["first_inference_ns"] for p in own),
        peak_rss_bytes=_largest((p["memory"] or {}).get("peak_rss_bytes") for p in own),
        anonymous_bytes=_largest((p["memory"] or {}).get("anonymous_bytes") for p in own),
        size_bytes=sizes.get(asked["variant"]),
        conditions=tuple(
            Condition(
                name=c["name"],
                passed=c["passed"],
                advice=c["advice"],
                value=c.get("value"),
                limit=c.get("limit"),
                unit=c.get("unit") or "",
            )
            for c in (run["conditions"] if own else ())
        ),
        found=(run.get("scenario") or {}) if own else {},
        profile=tuple(run["profile"] or ()) if own else (),
        not_readable=tuple(run.get("not_readable", ())) if own else (),
        joules_per_inference=(run.get("energy") or {}).get("joules_per_inference") if own else None,
    )


def _comparison(one: Mapping[str, Any], runs: Mapping[str, RunView]) -> ComparisonView:
    loss = one["accuracy_loss"]
    return ComparisonView(
        baseline=runs[one["baseline"]],
        candidate=runs[one["candidate"]],
        speedup=_measure(one["speedup"]),
        accuracy_metric=loss["metric"] or "",
        accuracy_loss=_measure(loss),
        mcnemar_p=loss.get("mcnemar_p"),
        size_ratio=one["size_ratio"],
        advice=one["advice"],
    )


def _metric(one: Mapping[str, Any]) -> Metric:
    return Metric(
        name=one["metric"], output=one["output"], basis=one["basis"], measure=_measure(one)
    )


def _measure(one: Mapping[str, Any]) -> Measure:
    low, high = one["ci95"] or (None, None)
    return Measure(
        value=one["value"],
        low=low,
        high=high,
        samples=one.get("samples"),
        groups=one.get("groups"),
        samples_needed=one.get("samples_needed"),
        reason=one.get("reason", ""),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def _largest(values: Iterable[int | None]) -> int | None:
    return max((v for v in values if v is not None), default=None)
