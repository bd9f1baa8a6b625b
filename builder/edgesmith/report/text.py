"""A report for a terminal: what was measured, how well, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from edgesmith.report.numbers import (
    METRIC_TITLES,
    SHARE_METRICS,
    counted,
    format_bytes,
    format_interval,
    format_loss,
    format_ratio,
    significant,
)
from edgesmith.report.placement import placement_lines
from edgesmith.report.plain import Colour, Style, cleaned, wrap
from edgesmith.report.profile import render_profile
from edgesmith.report.table import render_table
from edgesmith.report.views import (
    ComparisonView,
    Condition,
    RunView,
    comparisons_of,
    describe_configuration,
    runs_of,
)

_GATE_COLOURS: dict[str, Colour] = {"pass": "green", "fail": "red", "undecided": "yellow"}
_TITLE_WIDTH = 9
_EMULATED_NOTE = (
    "outputs are those of such a CPU; times and memory would be the emulator's: left out"
)
_INTERVAL_NOTE = "(95 % intervals in brackets)"


def render_report(report: Mapping[str, Any], style: Style, *, file: str | None = None) -> str:
    """The whole report as text; every string from outside is made harmless first."""
    harmless: dict[str, Any] = cleaned(report)
    runs, comparisons = runs_of(harmless), comparisons_of(harmless)
    blocks = [_headline(harmless, style), *_tables(runs, style)]
    blocks += [
        _section("placement", placement_lines(runs), style),
        _section("comparison", [_comparison(c) for c in comparisons], style),
        _section("failed", _failures(harmless, runs), style, colour="red"),
        _section("conditions", _conditions(runs), style),
        _gates(harmless, style),
        _decision(harmless, style),
    ]
    if file is not None:
        blocks.append([f"report    {file}"])
    return style.encode("\n\n".join("\n".join(b) for b in blocks if b))


def _headline(report: Mapping[str, Any], style: Style) -> list[str]:
    context = report["context"]
    device, bundle, runtime = context["device"], context["bundle"], context["runtime"]
    name = device.get("name") or device["model"] or "an unnamed device"
    version = f" {bundle['version']}" if bundle["version"] else ""
    facts = [
        device["cpu"] or "CPU not known",
        device["architecture"],
        counted(device["cores"], "core") if device["cores"] else "",
        format_bytes(device["memory_bytes"]) if device["memory_bytes"] else "",
        device["virtualization"] if device["virtualization"] not in (None, "none") else "",
    ]
    target = f" for {bundle['target']}" if bundle["target"] else ""
    lines = [style.paint(f"{bundle['model']}{version} on {name}", "bold")]
    lines += _titled("device", ", ".join(f for f in facts if f), style)
    lines += _titled("bundle", f"{(bundle['id'] or 'loose files')[:16]}{target}", style)
    lines += _titled("runtime", " ".join([runtime["name"], runtime["version"]]), style)
    started = context["started_at"].replace("T", " ").replace("Z", " UTC")
    lines += _titled("measured", started, style)
    if device.get("emulated"):
        lines += _titled("emulated", _EMULATED_NOTE, style)
    return lines


def _titled(title: str, text: str, style: Style) -> list[str]:
    first = f"  {title:<{_TITLE_WIDTH}} "
    return wrap(text, style.width, indent=" " * len(first), first=first)


def _tables(runs: Sequence[RunView], style: Style) -> list[list[str]]:
    measured = [run for run in runs if run.verdict != "failed"]
    ordered = sorted(measured, key=lambda run: run.configuration)
    blocks = []
    for _, group in groupby(ordered, key=lambda run: run.configuration):
        together = list(group)
        title = describe_configuration(together[0])
        fits = len(title) + len(_INTERVAL_NOTE) + 2 <= style.width
        note = style.paint(f"  {_INTERVAL_NOTE}", "dim") if fits else ""
        blocks.append([style.paint(title, "bold") + note, *render_table(together, style)])
        blocks.append(render_profile(together, style))
    return blocks


def _section(title: str, items: Sequence[str], style: Style, colour: Colour = "bold") -> list[str]:
    if not items:
        return []
    lines = [style.paint(title, colour)]
    for item in items:
        lines += wrap(item, style.width, indent="    ", first="  ")
    return lines


def _comparison(one: ComparisonView) -> str:
    names = f"{one.candidate.title} against {one.baseline.title}"
    where = describe_configuration(one.candidate)
    parts = [_speed(one), _loss(one)]
    if one.size_ratio is not None:
        parts.append(f"{100 * one.size_ratio:.0f} % of the model size")
    return f"{names} ({where}): {'; '.join(parts)}"


def _speed(one: ComparisonView) -> str:
    if one.speedup.value is None:
        return f"speed-up not known ({one.speedup.reason})"
    return f"speed-up {format_ratio(one.speedup.value)}{format_interval(one.speedup, format_ratio)}"


def _loss(one: ComparisonView) -> str:
    loss, metric = one.accuracy_loss, one.accuracy_metric
    if loss.value is None:
        return f"accuracy loss not known ({loss.reason})"
    title = METRIC_TITLES.get(metric, metric)
    points = " points" if metric in SHARE_METRICS else ""
    value = format_loss(metric, loss.value, unit=False) + points
    interval = format_interval(loss, lambda v: format_loss(metric, v, unit=False))
    samples = f" on {counted(loss.samples, 'sample')}" if loss.samples else ""
    samples += f" over {counted(loss.groups, 'group')}" if loss.groups else ""
    test = f", McNemar p = {one.mcnemar_p:.2g}" if one.mcnemar_p is not None else ""
    return f"{title} loss {value}{interval}{samples}{test}"


def _failures(report: Mapping[str, Any], runs: Sequence[RunView]) -> list[str]:
    error = report["error"]
    outside = [f"{error['stage']}: {error['message']}"] if error else []
    failed = [r for r in runs if r.verdict == "failed"]
    for one in report.get("metric_errors", ()):
        place = f" ({one['where']})" if one["where"] else ""
        outside.append(f"{one['variant']}: {one['message']}{place}")
    return outside + [f"{r.title} ({describe_configuration(r)}): {r.error}" for r in failed]


def _conditions(runs: Sequence[RunView]) -> list[str]:
    """What was not fulfilled, said once for all runs that share it."""
    found: dict[tuple[str, bool | None, str], list[tuple[str, Condition]]] = {}
    for run in runs:
        for one in run.conditions:
            if one.passed is not True:
                key = (one.name, one.passed, one.advice)
                found.setdefault(key, []).append((run.title, one))
    everyone = {run.title for run in runs if run.verdict != "failed"}
    lines = []
    for (name, passed, advice), shared in found.items():
        state = "not kept" if passed is False else "cannot be told"
        variants = [variant for variant, _ in shared]
        who = "" if set(variants) >= everyone else f" ({', '.join(dict.fromkeys(variants))})"
        numbers = _numbers([condition for _, condition in shared])
        lines.append(f"{name.replace('_', ' ')} {state}{who}: {advice}{numbers}")
    missing = dict.fromkeys(what for run in runs for what in run.not_readable)
    return lines + ([f"not readable here: {', '.join(missing)}"] if missing else [])


def _numbers(conditions: Sequence[Condition]) -> str:
    """The worst of what was found, and its limit."""
    judged = [
        (c.value, c.limit, c.unit)
        for c in conditions
        if c.value is not None and c.limit is not None
    ]
    if not judged:
        return ""
    value, limit, unit = max(judged)
    return f" ({significant(value)} {unit}, limit {significant(limit)})"


def _gates(report: Mapping[str, Any], style: Style) -> list[str]:
    gates = report.get("gates") or []
    if not gates:
        return []
    lines = [style.paint("gates", "bold")]
    for gate in gates:
        outcome = str(gate.get("outcome", "undecided"))
        mark = style.paint(f"{outcome:<9}", _GATE_COLOURS.get(outcome, "yellow"))
        which = ", ".join(str(gate[k]) for k in ("variant", "configuration") if gate.get(k))
        text = f"{gate.get('name', '')} [{which}]: {gate.get('reason', '')}"
        lines += wrap(text, style.width, indent=" " * 12, first=f"  {mark} ")
    for note in dict.fromkeys(str(g["note"]) for g in gates if g.get("note")):
        lines += wrap(f"these gates were judged on runs {note}", style.width, indent="  ")
    return lines


def _decision(report: Mapping[str, Any], style: Style) -> list[str]:
    decision = report.get("decision")
    if not decision:
        return []
    ship = decision.get("ship")
    head = f"ship {ship}" if ship else "no decision"
    colour: Colour = "green" if ship else "yellow"
    lines = [style.paint("decision", "bold") + "  " + style.paint(head, colour)]
    lines += wrap(f"{decision.get('reason', '')}.", style.width, indent="  ")
    if decision.get("advice"):
        lines += wrap(f"advice: {decision['advice']}.", style.width, indent="  ")
    for other in decision.get("others") or ():
        lines += wrap(f"otherwise: {other}", style.width, indent="  ")
    return lines
