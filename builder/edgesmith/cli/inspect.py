"""`edgesmith inspect`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgesmith.cli.session import Outcome, Session

if TYPE_CHECKING:
    from edgesmith.model.inspection import Inspection, Node

EXAMPLES = (
    "edgesmith inspect build/digits/export/model.onnx",
    "edgesmith inspect build/digits/simplify/model.onnx --graph --limit 20",
    "edgesmith inspect build/digits/host/quantize/int8.onnx --ops",
)
# Of a node that reads more, such as a Concat of many parts, the first ones are shown.
_SHOWN_INPUTS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an .onnx file")
    parser.add_argument("--params", action="store_true", help="every parameter, the largest first")
    parser.add_argument("--ops", action="store_true", help="every operator type with its count")
    parser.add_argument("--graph", action="store_true", help="every node with inputs and outputs")
    parser.add_argument("--limit", type=_limit, metavar="N", help="at most N rows of each list")
    parser.add_argument(
        "--netron", action="store_true", help="also open it in Netron, where that is installed"
    )


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a number of at least 1")
    return int(text)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Shows what a model file holds; runs no user code."""
    from edgesmith.model.inspection import inspect_model
    from edgesmith.model.netron import find_netron, open_in_netron
    from edgesmith.report.plain import printable

    path = Path(arguments.model)
    viewer = find_netron() if arguments.netron else None
    found = inspect_model(path)
    parts = [_summary(found)]
    if found.clean_up:
        parts.append(_clean_up(found))
    if arguments.ops:
        parts.append(_table("operators", _operators(found), arguments.limit))
    if arguments.params:
        parts.append(
            _table("parameters (bytes, dtype, shape, name)", _parameters(found), arguments.limit)
        )
    if arguments.graph:
        parts.append(_table("graph", list(_graph(found.nodes, "  ")), arguments.limit))
    if viewer is not None:
        open_in_netron(viewer, path, events=session.events)
    return Outcome(data=asdict(found), text=printable("\n\n".join(parts)))


def _table(title: str, rows: Sequence[str], limit: int | None) -> str:
    shown = rows[:limit]
    more = [f"  ... {len(rows) - len(shown)} more"] if len(rows) > len(shown) else []
    return "\n".join([title, *shown, *more])


def _one_line(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _summary(found: Inspection) -> str:
    model = found.model
    lines = [
        f"{model.path}: {model.bytes} bytes, opset {model.opset}, IR version {model.ir_version}",
        f"sha256 {model.sha256}",
    ]
    lines += [f"weights in {_one_line(one.path)}: {one.bytes} bytes" for one in model.data_files]
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


def _clean_up(found: Inspection) -> str:
    from edgesmith.cli.simplify import clean_up_lines

    return "\n".join(["clean-up", *clean_up_lines(found.clean_up)])


def _operators(found: Inspection) -> list[str]:
    return [f"  {count:>6}  {_one_line(name)}" for name, count in found.operators.items()]


def _parameters(found: Inspection) -> list[str]:
    return [
        f"  {p.bytes:>10}  {p.dtype:<8} {list(p.shape)!s:<20} {_one_line(p.name)}"
        for p in found.parameters
    ]


def _graph(nodes: Iterable[Node], indent: str) -> Iterable[str]:
    """One line a node, such as `y: float32 [batch, 10] = Gemm(x, w, b) transB=1`."""
    for node in nodes:
        yield indent + _line(node)
        for graph in node.subgraphs:
            takes = ", ".join(map(_one_line, graph.inputs))
            gives = ", ".join(map(_one_line, graph.outputs))
            yield f"{indent}  {_one_line(graph.name)}({takes}) -> {gives}"
            yield from _graph(graph.nodes, indent + "    ")


def _line(node: Node) -> str:
    shown = [_one_line(name) or "-" for name in node.inputs[:_SHOWN_INPUTS]]
    if len(node.inputs) > _SHOWN_INPUTS:
        shown.append(f"{len(node.inputs) - _SHOWN_INPUTS} more")
    made = ", ".join(
        _one_line(f"{name}: {kind}" if kind else name)
        for name, kind in zip(node.outputs, node.types, strict=True)
        if name
    )
    kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    words = [f"{made} = {_one_line(kind)}({', '.join(shown)})"]
    words += [f"{key}={_one_line(value)}" for key, value in node.attributes]
    words += ["[int8]"] if node.quantized else []
    return " ".join([*words, f"# {_one_line(node.name)}"] if node.name else words)
