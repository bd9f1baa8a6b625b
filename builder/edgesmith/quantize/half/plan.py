"""Which nodes compute in FP16, and what that means for each tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgesmith.quantize.half.graph import FloatGraph
from edgesmith.quantize.half.operators import gives_half, is_indifferent, is_standard, takes_half

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`half` are the names of the nodes that compute in FP16."""

    graph: FloatGraph
    half: frozenset[str]

    def is_half(self, name: str) -> bool:
        """Whether a tensor is made in FP16; weights are of their readers' precision."""
        node = self.graph.producer.get(name)
        if node is None or node.name not in self.half or not self.graph.is_float(name):
            return False
        return gives_half(node, list(node.output).index(name), self.graph.opset)

    def wants_half(self, node: onnx.NodeProto, index: int) -> bool | None:
        """Whether it reads input `index` in FP16; None where that is no float, or no matter."""
        if not self.graph.is_float(node.input[index]):
            return None
        if is_indifferent(node):
            return None
        return node.name in self.half and takes_half(node, index, self.graph.opset)

    def conversions(self, name: str) -> int:
        """How many Casts the tensor needs: at most one, whatever the number of its readers."""
        if name in self.graph.weights:
            return 0
        half = self.is_half(name)
        wanted = {self.wants_half(*one) for one in self.graph.readers.get(name, ())}
        if half and (name in self.graph.outputs or name in self.graph.inner):
            wanted.add(False)
        return int((not half) in wanted)


def tensors_of(graph: FloatGraph, node: onnx.NodeProto) -> Iterator[str]:
    """The float tensors that would be FP16 with the node, weights left out."""
    for index, name in _taken(graph, node):
        if name not in graph.weights and takes_half(node, index, graph.opset):
            yield name
    for index, name in enumerate(node.output):
        if graph.is_float(name) and gives_half(node, index, graph.opset):
            yield name


def weights_of(graph: FloatGraph, node: onnx.NodeProto) -> Iterator[str]:
    """The weights that would be FP16 with the node."""
    for index, name in _taken(graph, node):
        if name in graph.weights and takes_half(node, index, graph.opset):
            yield name


def _taken(graph: FloatGraph, node: onnx.NodeProto) -> list[tuple[int, str]]:
    if is_indifferent(node):
        return []
    return [(index, name) for index, name in enumerate(node.input) if graph.is_float(name)]


def is_cast_to_number(graph: FloatGraph, node: onnx.NodeProto) -> bool:
    """Whether it makes something else than a float of a float."""
    is_cast = is_standard(node) and node.op_type == "Cast"
    return is_cast and graph.is_float(node.input[0]) and not graph.is_float(node.output[0])
