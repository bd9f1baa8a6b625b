"""Which execution provider runs which nodes, and which could not be used, in lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgesmith.report.numbers import counted
from edgesmith.report.views import RunView

_CPU = "CPUExecutionProvider"
_SHOWN_TYPES = 6


def placement_lines(runs: Sequence[RunView]) -> list[str]:
    """One line for each variant and provider; none where only the cpu was asked for and used."""
    lines: dict[str, None] = {}
    for run in runs:
        for line in run.fallbacks:
            lines[f"{run.variant}: {line}"] = None
        if run.placement and set(run.placement) != {_CPU}:
            lines[f"{run.title}: {_nodes(run)}"] = None
    return list(lines)


def _nodes(run: RunView) -> str:
    total = sum(run.placement.values())
    parts = []
    for name, count in sorted(run.placement.items(), key=lambda one: -one[1]):
        share = f" of {total} ({100 * count / total:.1f} %)" if total != count else ""
        kinds = run.elsewhere.get(name, {})
        parts.append(f"{_short(name)} {count}{share} nodes{_types(kinds)}")
    copies = run.copies_in_graph
    if any(copies.values()):
        ways = f"{copies['to_device']} to the GPU, {copies['to_host']} back"
        parts.append(f"copies within an inference: {ways}")
    return "; ".join(parts)


def _types(kinds: Mapping[str, int]) -> str:
    """Copies between memories are nodes of the runtime's own."""
    if not kinds:
        return ""
    ordered = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))
    words = [name if count == 1 else f"{count} {name}" for name, count in ordered[:_SHOWN_TYPES]]
    more = len(ordered) - len(words)
    rest = [f"and {counted(more, 'other type')}"] if more else []
    return f": {', '.join([*words, *rest])}"


def _short(name: str) -> str:
    return name.removesuffix("ExecutionProvider") or name
