"""What a run's scenario found beside latencies, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgesmith.report.numbers import format_time
from edgesmith.report.views import RunView

_NOTHING = "-"


def scenario_rows(runs: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Titles with a text for each run; `-` where a run's scenario has no such thing."""
    return [(title, [form(run.found) for run in runs]) for title, form in _ROWS]


def _late(found: Mapping[str, Any]) -> str:
    if found.get("kind") != "fixed-rate":
        return _NOTHING
    return f"{found['late']:,} of {found['frames']:,} ({100 * found['late_share']:.3g} %)"


def _achieved(found: Mapping[str, Any]) -> str:
    if found.get("kind") != "fixed-rate":
        return _NOTHING
    return f"{found['achieved_hz']:.4g} of {found['rate_hz']:.4g} /s"


def _queue(found: Mapping[str, Any]) -> str:
    if found.get("kind") != "fixed-rate":
        return _NOTHING
    left = f", {found['waiting']:,} left" if found["waiting"] else ""
    return f"{found['max_queue']:,}{left}"


def _wake_delay(found: Mapping[str, Any]) -> str:
    worst = found.get("wake_delay", {}).get("max_ns")
    return _NOTHING if worst is None else f"up to {format_time(worst)}"


def _growth(key: str) -> Callable[[Mapping[str, Any]], str]:
    def form(found: Mapping[str, Any]) -> str:
        share = found.get(key)
        return _NOTHING if share is None else f"{100 * share:+.2f} %"

    return form


_ROWS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("frames late", _late),
    ("rate achieved", _achieved),
    ("longest queue", _queue),
    ("timer late", _wake_delay),
    ("p50 over the soak", _growth("latency_growth")),
    ("memory over the soak", _growth("memory_growth")),
)
