"""Nodes whose results must be exact: sizes of tensors, indices, and angles.

An index beyond 2048 is no longer exact in FP16, and an angle of 1000 has no fraction there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesmith.model.value_types import elements
from edgesmith.quantize.half.graph import FloatGraph
from edgesmith.quantize.half.operators import MOVING, is_standard
from edgesmith.quantize.half.plan import is_cast_to_number
from edgesmith.simplify.graph import subgraphs

if TYPE_CHECKING:
    import onnx

_ELEMENTWISE = frozenset({
    "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Floor", "Max", "Min", "Mod", "Mul", "Neg",
    "Round", "Sign", "Sub",
})  # fmt: skip
_TAKES_ANGLES = frozenset({"Cos", "Mod", "Sin"})
# Their values do not depend on the sizes that they take.
_FILLING = frozenset({"ConstantOfShape", "Expand"})
# A product of positions with frequencies has few weights.
_FEW_WEIGHTS = 4096


def arguments(graph: FloatGraph) -> list[str]:
    """The nodes that lead to nothing but indices and angles."""
    found: dict[str, None] = {}
    for node in reversed(graph.model.graph.node):
        floats = [name for name in node.output if graph.is_float(name)]
        readers = [one for name in floats for one, _ in graph.readers.get(name, ())]
        seen_outside = any(name in graph.outputs or name in graph.inner for name in floats)
        if not readers or seen_outside or not _may_lead(graph, node):
            continue
        if all(one.name in found or _takes_argument(graph, one) for one in readers):
            found[node.name] = None
    return list(found)


def _takes_argument(graph: FloatGraph, node: onnx.NodeProto) -> bool:
    if is_cast_to_number(graph, node):
        return True
    return is_standard(node) and node.op_type in _TAKES_ANGLES


def _may_lead(graph: FloatGraph, node: onnx.NodeProto) -> bool:
    if not is_standard(node):
        return False
    if node.op_type in ("MatMul", "Einsum"):
        sizes = [elements(graph.weights[name]) for name in node.input if name in graph.weights]
        return bool(sizes) and sum(sizes) <= _FEW_WEIGHTS
    return node.op_type in _ELEMENTWISE or node.op_type in MOVING


def sizes(graph: FloatGraph) -> list[str]:
    """The nodes that compute floats from sizes of tensors and constants alone."""
    constant = {one.name for one in graph.model.graph.initializer} - graph.inputs
    derived: set[str] = set()
    found = []
    for node in graph.model.graph.node:
        names = [name for name in node.input if name]
        starts = is_standard(node) and node.op_type in ("Shape", "Size")
        goes_on = (
            any(name in derived for name in names)
            and all(name in derived or name in constant for name in names)
            and next(subgraphs(node), None) is None
            and node.op_type not in _FILLING
        )
        if starts or goes_on:
            derived.update(node.output)
            if any(graph.is_float(name) for name in node.output):
                found.append(node.name)
    return found
