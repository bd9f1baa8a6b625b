"""`edgesmith simplify`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import run_stages

if TYPE_CHECKING:
    from edgesmith.values import PassRecord

EXAMPLES = (
    "edgesmith simplify",
    "edgesmith simplify --dry-run",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Simplifies the exported model and tells what became of it."""

    def work(pipeline: Any) -> tuple[dict[str, Any], str]:
        from edgesmith.values import to_record

        done = pipeline.simplified()
        value = done.value
        fate = "simplified" if value.simplified else f"kept as exported: {value.reason}"
        lines = [
            f"{done.folder / value.onnx.path}",
            f"  {fate}; {value.nodes_before} nodes before, {value.nodes_after} after",
            *clean_up_lines(value.passes),
        ]
        text = "\n".join(lines)
        return {"simplify": to_record(value), "folder": str(done.folder)}, text

    return run_stages(session, work)


def clean_up_lines(passes: Sequence[PassRecord]) -> list[str]:
    """The clean-up record: what each pass did to the number of nodes, or why it was dropped."""
    lines = [f"  {one.name:<20} {_fate(one)}" for one in passes if one.taken or one.reason]
    idle = [one.name for one in passes if not (one.taken or one.reason)]
    return [*lines, *([f"  nothing to do for {', '.join(idle)}"] if idle else [])]


def _fate(one: PassRecord) -> str:
    if one.reason:
        return f"dropped: {one.reason}"
    return f"{one.nodes_before} -> {one.nodes_after} nodes, error {one.max_rel_error or 0:.2g}"
