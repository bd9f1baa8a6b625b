"""`edgesmith export`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import run_stages

if TYPE_CHECKING:
    from edgesmith.values import ExportAttempt, ExportedModel

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
            f" {value.onnx.total_bytes} bytes\n"
            f"  agrees with {bad.against} on {len(value.parity)} inputs: largest error"
            f" {bad.max_abs_error:.2g} ({bad.max_rel_error:.2g} of the largest output)"
        )
        text += "".join(f"\n  {line}" for line in [*_attempts(value), *_left_out(value)])
        return {"export": to_record(value), "folder": str(done.folder)}, text

    return run_stages(session, work)


def _attempts(value: ExportedModel) -> list[str]:
    """A line for each exporter: what it made, and what became of it."""
    return [_attempt(one) for one in value.attempts if one.mode]


def _attempt(one: ExportAttempt) -> str:
    facts = [
        None if one.nodes is None else f"{one.nodes} nodes",
        None if one.nodes_after_clean_up is None else f"{one.nodes_after_clean_up} cleaned up",
        None if one.max_rel_error is None else f"error {one.max_rel_error:.2g}",
        None if one.latency_ns is None else f"{one.latency_ns / 1e6:.3g} ms an inference",
        None if one.seconds is None else f"exported in {one.seconds:.1f} s",
    ]
    fate = "taken" if one.taken else f"not taken: {one.reason}"
    known = ", ".join(fact for fact in facts if fact)
    return f"{one.exporter} ({one.mode}): {known}; {fate}"


def _left_out(value: ExportedModel) -> list[str]:
    return [f"not compared on {name}: {reason}" for name, reason in value.left_out.items()]
