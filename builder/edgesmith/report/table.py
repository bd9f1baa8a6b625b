"""The table of runs: variants side by side, as wide as the terminal allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgesmith.report.copy_rows import copy_rows
from edgesmith.report.numbers import (
    METRIC_TITLES,
    SHARE_METRICS,
    counted,
    format_bytes,
    format_count,
    format_interval,
    format_metric,
    format_time,
    significant,
    time_unit,
)
from edgesmith.report.plain import Colour, Style, display_width, pad, wrap
from edgesmith.report.scenario_rows import scenario_rows
from edgesmith.report.views import Measure, Metric, RunView

_GAP = "   "
_INDENT = "  "
_PERCENTILES = ("50", "90", "99")
VERDICT_COLOURS: dict[str, Colour] = {
    "valid": "green",
    "noisy": "yellow",
    "throttled": "red",
    "uncontrolled": "yellow",
    "emulated": "yellow",
    "failed": "red",
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value, its interval, and what colour the value has."""

    value: str
    interval: str = ""
    colour: Colour | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A titled row with a cell for each run."""

    title: str
    cells: tuple[Cell, ...]


def render_table(runs: Sequence[RunView], style: Style) -> list[str]:
    """The runs of one configuration side by side; in several tables where the width is small.

    Where values with their intervals do not fit, the intervals stand below the values; where not
    even one column does, the runs stand below each other.
    """
    rows = table_rows(runs)
    heads = [run.title for run in runs]
    label = max(display_width(r.title) for r in rows)
    room = style.width - display_width(_INDENT) - label
    for stacked in (False, True):
        column = _column_width(rows, heads, stacked=stacked) + len(_GAP)
        fitting = max(1, room // column)
        if fitting >= len(runs):
            break
    if column > room:
        return _list(rows, heads, style)
    lines: list[str] = []
    for start in range(0, len(runs), fitting):
        part = slice(start, start + fitting)
        lines += [""] if lines else []
        lines += _one_table(rows, heads, part, label, stacked=stacked, style=style)
    return lines


def table_rows(runs: Sequence[RunView]) -> list[Row]:
    """What is told of each run; rows that no run can fill are left out."""
    rows = [_time_row(f"latency p{p}", [r.percentiles.get(p) for r in runs]) for p in _PERCENTILES]
    rows.append(_row("throughput", runs, _throughput))
    for title, texts in [*copy_rows(runs), *scenario_rows(runs)]:
        rows.append(Row(title=title, cells=tuple(Cell(value=text) for text in texts)))
    rows += [_metric_row(name, output, runs) for name, output in _metric_names(runs)]
    rows.append(_row("agreement with reference", runs, _agreement))
    rows.append(_row("model size", runs, lambda r: _bytes(r.size_bytes)))
    rows.append(_row("load", runs, lambda r: _time(r.load_ns)))
    rows.append(_row("first inference", runs, lambda r: _time(r.first_inference_ns)))
    rows.append(_row("peak memory", runs, lambda r: _bytes(r.peak_rss_bytes)))
    rows.append(_row("allocated memory", runs, lambda r: _bytes(r.anonymous_bytes)))
    rows.append(_row("energy per inference", runs, _energy))
    rows.append(_row("timed inferences", runs, _sample_count))
    rows.append(_row("verdict", runs, _verdict))
    return [row for row in rows if any(cell.value != "-" for cell in row.cells)]


def _one_table(
    rows: Sequence[Row],
    heads: Sequence[str],
    part: slice,
    label: int,
    *,
    stacked: bool,
    style: Style,
) -> list[str]:
    shown_heads = heads[part]
    widths = [
        _column_width(
            [Row(title=r.title, cells=(r.cells[part][i],)) for r in rows], [head], stacked=stacked
        )
        for i, head in enumerate(shown_heads)
    ]
    painted_heads = [style.paint(head, "bold") for head in shown_heads]
    lines = [_line("", _padded(painted_heads, widths), label)]
    for row in rows:
        cells = row.cells[part]
        values = [_painted(c, style, stacked=stacked) for c in cells]
        lines.append(_line(row.title, _padded(values, widths), label))
        if stacked and any(c.interval for c in cells):
            lines.append(_line("", _padded([c.interval.strip() for c in cells], widths), label))
    return lines


def _list(rows: Sequence[Row], heads: Sequence[str], style: Style) -> list[str]:
    lines = []
    for index, head in enumerate(heads):
        lines.append(_INDENT + style.paint(head, "bold"))
        for row in rows:
            cell = row.cells[index]
            text = f"{row.title}: {cell.value}{cell.interval}"
            lines += wrap(text, style.width, indent=3 * _INDENT, first=2 * _INDENT)
    return lines


def _padded(texts: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [pad(text, width) for text, width in zip(texts, widths, strict=True)]


def _line(title: str, cells: Sequence[str], label: int) -> str:
    return f"{_INDENT}{pad(title, label)}{''.join(_GAP + c for c in cells)}".rstrip()


def _painted(cell: Cell, style: Style, *, stacked: bool) -> str:
    value = style.paint(cell.value, cell.colour) if cell.colour else cell.value
    return value if stacked else value + cell.interval


def _column_width(rows: Sequence[Row], heads: Sequence[str], *, stacked: bool) -> int:
    widths = [display_width(head) for head in heads]
    for row in rows:
        for cell in row.cells:
            value, interval = display_width(cell.value), display_width(cell.interval)
            widths.append(max(value, interval - 1) if stacked else value + interval)
    return max(widths)


def _row(title: str, runs: Sequence[RunView], cell: Callable[[RunView], Cell]) -> Row:
    return Row(title=title, cells=tuple(cell(run) for run in runs))


def _time_row(title: str, measures: Sequence[Measure | None]) -> Row:
    # One unit for the row, so that neighbours compare at a glance.
    unit = time_unit(max((m.value for m in measures if m and m.value is not None), default=1.0))
    return Row(title=title, cells=tuple(_percentile(m, unit) for m in measures))


def _percentile(measure: Measure | None, unit: tuple[float, str]) -> Cell:
    if measure is None:
        return Cell(value="-")
    if measure.value is None:
        needed = measure.samples_needed
        return Cell(value=f"needs {needed} samples" if needed else "not resolvable")
    interval = format_interval(measure, lambda v: format_time(v, unit, name=False))
    return Cell(value=format_time(measure.value, unit), interval=interval)


def _throughput(run: RunView) -> Cell:
    if run.throughput_per_s is None:
        return Cell(value="-")
    return Cell(value=f"{format_count(run.throughput_per_s)} /s")


def _metric_names(runs: Sequence[RunView]) -> list[tuple[str, str]]:
    """(metric, output) as they first appear; what is told against labels stands first."""
    found = dict.fromkeys((m.basis != "labels", m.name, m.output) for r in runs for m in r.metrics)
    return [(name, output) for _, name, output in sorted(found, key=lambda key: key[0])]


def _metric_row(name: str, output: str, runs: Sequence[RunView]) -> Row:
    several = len({o for n, o in _metric_names(runs) if n == name}) > 1
    title = METRIC_TITLES.get(name, name) + (f" of {output}" if several else "")
    return _row(title, runs, lambda run: _metric(_find(run, name, output)))


def _find(run: RunView, name: str, output: str) -> Metric | None:
    return next((m for m in run.metrics if (m.name, m.output) == (name, output)), None)


def _metric(metric: Metric | None) -> Cell:
    if metric is None:
        return Cell(value="-")
    return _accuracy_cell(metric.name, metric.measure)


def _agreement(run: RunView) -> Cell:
    return Cell(value="-") if run.agreement is None else _accuracy_cell("agreement", run.agreement)


def _accuracy_cell(name: str, measure: Measure) -> Cell:
    if measure.value is None:
        exact = "equal the reference" in measure.reason
        return Cell(value="exact" if exact else "-")
    interval = format_interval(measure, lambda v: format_metric(name, v, unit=False))
    if measure.samples and name in SHARE_METRICS:
        interval += f" n={measure.samples}"
        interval += f" in {counted(measure.groups, 'group')}" if measure.groups else ""
    return Cell(value=format_metric(name, measure.value), interval=interval)


def _time(value_ns: float | None) -> Cell:
    return Cell(value="-" if value_ns is None else format_time(value_ns))


def _bytes(value: int | None) -> Cell:
    return Cell(value="-" if value is None else format_bytes(value))


def _energy(run: RunView) -> Cell:
    if run.joules_per_inference is None:
        return Cell(value="-")
    return Cell(value=f"{significant(1000 * run.joules_per_inference)} mJ")


def _sample_count(run: RunView) -> Cell:
    if run.samples is None:
        return Cell(value="-")
    plural = "" if run.processes == 1 else "es"
    return Cell(value=f"{run.samples:,} in {run.processes} process{plural}")


def _verdict(run: RunView) -> Cell:
    return Cell(value=run.verdict, colour=VERDICT_COLOURS[run.verdict])
