"""`edgesmith quantize`."""

from __future__ import annotations

import argparse
from typing import Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_target_option, run_stages

EXAMPLES = (
    "edgesmith quantize --target host",
    "EDGESMITH_QUANTIZE__CALIBRATION=entropy edgesmith quantize",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail (exit code 4) where something computes in float that [quantize] exclude does not"
        " name",
    )


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Quantizes for each target and tells metrics and sizes."""

    def work(pipeline: Any) -> tuple[dict[str, Any], str]:
        from edgesmith.quantize.report import describe as describe_report
        from edgesmith.quantize.report import read_report, require_integers
        from edgesmith.values import to_record

        records, texts = [], []
        for target in pipeline.project.target_names(arguments.target):
            done = pipeline.quantized(target)
            records.append({"folder": str(done.folder), **to_record(done.value)})
            report = read_report(done.folder)
            texts.append("\n".join([describe(done), *describe_report(report)]))
            if arguments.strict:
                require_integers(report, target)
        return {"quantize": records}, "\n".join(texts)

    return run_stages(session, work)


def describe(done: Any) -> str:
    """A few lines on a quantized model: each variant with size and metrics."""
    value = done.value
    lines = [f"{done.folder}"]
    width = max(6, *(len(variant.name) for variant in value.variants))
    for variant in value.variants:
        metrics = ", ".join(f"{m.name} {m.value:.4g} (n = {m.samples})" for m in variant.metrics)
        size = f"{variant.onnx.total_bytes} bytes"
        lines.append(f"  {variant.name:<{width}} {variant.encoding:<10} {size:>16}  {metrics}")
    lines.append(
        f"  calibration {value.calibration_method}; loses {value.accuracy_loss:.4g} in"
        f" {value.accuracy_metric}, the budget is {value.accuracy_budget:.4g}"
    )
    return "\n".join(lines)
