"""What moving inputs to a GPU and outputs back takes beside the inference, as rows of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgesmith.report.numbers import format_bytes, format_time
from edgesmith.report.views import RunView


def copy_rows(runs: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Titles with a text for each run; `-` where no GPU ran it, or nothing tells of copies."""
    return [
        ("copy to the GPU", [_copy(run.copies, "host_to_device") for run in runs]),
        ("inference on the GPU", [_inference(run.copies) for run in runs]),
        ("copy back", [_copy(run.copies, "device_to_host") for run in runs]),
    ]


def _copy(copies: Mapping[str, Any], way: str) -> str:
    if not copies:
        return "-"
    return f"{format_time(copies[way]['median_ns'])}, {format_bytes(copies[way]['bytes'])}"


def _inference(copies: Mapping[str, Any]) -> str:
    """What the GPU was waited for afterwards belongs to it."""
    if not copies:
        return "-"
    return format_time(copies["on_device_ns"] + copies["synchronize_ns"])
