"""`edgesmith simplify`."""

from __future__ import annotations

import argparse
from typing import Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import run_stages

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
        text = (
            f"{done.folder / value.onnx.path}\n"
            f"  {fate}; {value.nodes_before} nodes before, {value.nodes_after} after"
        )
        return {"simplify": to_record(value), "folder": str(done.folder)}, text

    return run_stages(session, work)
