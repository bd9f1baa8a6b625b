"""`edgesmith inspect`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgesmith.cli.session import Outcome, Session

if TYPE_CHECKING:
    from edgesmith.model.inspection import Inspection

EXAMPLES = (
    "edgesmith inspect build/digits/export/model.onnx",
    "edgesmith inspect build/digits/host/quantize/int8.onnx --ops",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an .onnx file")
    parser.add_argument("--params", action="store_true", help="every parameter")
    parser.add_argument("--ops", action="store_true", help="every operator type with its count")
    parser.add_argument("--graph", action="store_true", help="every node with inputs and outputs")


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Shows what a model file holds; runs no user code."""
    from edgesmith.model.inspection import inspect_model
    from edgesmith.report.plain import printable

    found = inspect_model(Path(arguments.model))
    parts = [_summary(found)]
    if arguments.ops:
        parts.append(_operators(found))
    if arguments.params:
        parts.append(_parameters(found))
    if arguments.graph:
        parts.append(_graph(found))
    return Outcome(data=asdict(found), text=printable("\n\n".join(parts)))


def _one_line(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _summary(found: Inspection) -> str:
    model = found.model
    lines = [
        f"{model.path}: {model.bytes} bytes, opset {model.opset}, IR version {model.ir_version}",
        f"sha256 {model.sha256}",
    ]
    for title, tensors in (("input", model.inputs), ("output", model.outputs)):
        for one in tensors:
            dims = ", ".join(_one_line(str(d)) for d in one.dims)
            lines.append(f"{title:<7} {_one_line(one.name)}: {one.dtype} [{dims}]")
    total = sum(p.bytes for p in found.parameters)
    lines.append(f"{model.nodes} nodes, {len(found.parameters)} parameters, {total} bytes")
    if found.weighted_operators:
        lines.append(
            f"INT8: {found.weighted_in_int8} of {found.weighted_operators} operators with weights"
        )
    if found.weighted_in_int8 and found.in_float:
        lines.append("in float: " + ", ".join(_one_line(name) for name in found.in_float))
    return "\n".join(lines)


def _operators(found: Inspection) -> str:
    rows = [f"  {count:>6}  {_one_line(name)}" for name, count in found.operators.items()]
    return "\n".join(["operators", *rows])


def _parameters(found: Inspection) -> str:
    rows = [
        f"  {p.bytes:>10}  {p.dtype:<8} {list(p.shape)!s:<20} {_one_line(p.name)}"
        for p in found.parameters
    ]
    return "\n".join(["parameters (bytes, dtype, shape, name)", *rows])


def _graph(found: Inspection) -> str:
    rows = []
    for node in found.nodes:
        inputs = ", ".join(_one_line(name) or "-" for name in node.inputs)
        outputs = ", ".join(_one_line(name) for name in node.outputs)
        mark = "  [int8]" if node.quantized else ""
        rows.append(f"  {outputs} = {node.op_type}({inputs})  # {_one_line(node.name)}{mark}")
    return "\n".join(["graph", *rows])
