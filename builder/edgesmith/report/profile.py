"""The operators of the variants next to each other: where an inference's time goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgesmith.report.numbers import counted, format_time
from edgesmith.report.plain import Style, display_width, pad, wrap
from edgesmith.report.views import RunView

_MOST_ROWS = 20
_GAP = "   "
_NONE = "-"

# op_type → what one variant spends on it.
_Operators = Mapping[str, Mapping[str, Any]]


def render_profile(runs: Sequence[RunView], style: Style) -> list[str]:
    """A row for each operator type, the costliest first; nothing when no profile was taken."""
    profiled = [run for run in runs if run.profile]
    if not profiled:
        return []
    columns = [_by_operator(run) for run in profiled]
    names = sorted({n for c in columns for n in c}, key=lambda n: -_most(n, columns))
    heads = [run.title for run in profiled]
    rows = [[n, *(_cell(c.get(n)) for c in columns)] for n in names[:_MOST_ROWS]]
    widths = [max(map(display_width, column)) for column in zip(["", *heads], *rows, strict=True)]
    note = "time by operator, of one inference in a session of its own"
    lines = [style.paint(line, "bold") for line in wrap(note, style.width)]
    if sum(widths) + len(_GAP) * len(widths) <= style.width:
        for row in [["", *heads], *rows]:
            cells = (pad(text, width) for text, width in zip(row, widths, strict=True))
            lines.append(f"  {_GAP.join(cells)}".rstrip())
    else:
        for column, head in enumerate(heads, start=1):
            spent = "; ".join(f"{r[0]} {r[column]}" for r in rows if r[column] != _NONE)
            lines += wrap(f"{head}: {spent}", style.width, indent="    ", first="  ")
    if len(names) > _MOST_ROWS:
        lines.append(f"  and {counted(len(names) - _MOST_ROWS, 'operator')} more in the report")
    return lines


def _by_operator(run: RunView) -> _Operators:
    """Entries of one operator type put together: several providers may run it."""
    found: dict[str, dict[str, Any]] = {}
    for one in run.profile:
        entry = found.setdefault(one["op_type"], {"share": 0.0, "nodes": 0, "ns": 0.0})
        inferences = one.get("inferences") or 1
        entry["share"] += one["share"]
        entry["nodes"] += round(one["count"] / inferences)
        entry["ns"] += one["total_ns"] / inferences
    return found


def _most(name: str, columns: Sequence[_Operators]) -> float:
    return max(float(column[name]["ns"]) for column in columns if name in column)


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return _NONE
    nodes = counted(entry["nodes"], "node")
    return f"{format_time(entry['ns'])}, {100 * entry['share']:.0f} % in {nodes}"
