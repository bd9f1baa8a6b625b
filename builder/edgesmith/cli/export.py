"""`edgesmith export`."""

from __future__ import annotations

import argparse
from typing import Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import run_stages

EXAMPLES = (
    "edgesmith export",
    "edgesmith export --format json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Exports the source and tells how well it agrees."""

    def work(pipeline: Any) -> tuple[dict[str, Any], str]:
        from edgesmith.model.numeric import worst
        from edgesmith.values import to_record

        done = pipeline.exported()
        value, bad = done.value, worst(done.value.parity)
        text = (
            f"{done.folder / value.onnx.path}\n"
            f"  exporter   {value.exporter}, opset {value.onnx.opset}, {value.onnx.nodes} nodes,"
            f" {value.onnx.bytes} bytes\n"
            f"  agrees with {bad.against} on {len(value.parity)} inputs: largest error"
            f" {bad.max_abs_error:.2g} ({bad.max_rel_error:.2g} of the largest output)"
        )
        return {"export": to_record(value), "folder": str(done.folder)}, text

    return run_stages(session, work)
