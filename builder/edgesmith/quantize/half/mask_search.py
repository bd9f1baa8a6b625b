"""Follows a large constant to see whether its size matters to anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgesmith.quantize.half.graph import FloatGraph
from edgesmith.quantize.half.limits import LARGEST_SEEN
from edgesmith.quantize.half.operators import MOVING, is_standard

if TYPE_CHECKING:
    import onnx

_ADDING = frozenset({"Add", "Max", "Min"})
_WHOLE = frozenset({"Add", "Mul", "Neg", "Sub"})
# By no more a mask may be scaled down: a score less 1000 has no share in a Softmax.
_LARGEST_DIVISOR = 30.0


@dataclass(frozen=True, kw_only=True)
class MaskSearch:
    """`ranges` are the lowest and highest finite value of each tensor."""

    graph: FloatGraph
    ranges: Mapping[str, tuple[float, float]]

    def reached(self, constant: str) -> frozenset[str] | None:
        """The tensors that hold the constant's large values; None where they reach anything that
        depends on their size."""
        graph, found, waiting = self.graph, {constant}, [constant]
        while waiting:
            name = waiting.pop()
            if name in graph.outputs or name in graph.inner or not self._is_low(name, constant):
                return None
            for node, index in graph.readers[name]:
                if _ends(node, index):
                    continue
                if not self._carries(node, index):
                    return None
                for made in node.output:
                    if graph.is_float(made) and made not in found:
                        found.add(made)
                        waiting.append(made)
        return frozenset(found)

    def _is_low(self, name: str, constant: str) -> bool:
        return name == constant or self.ranges[name][1] <= LARGEST_SEEN

    def _carries(self, node: onnx.NodeProto, index: int) -> bool:
        if not is_standard(node):
            return False
        if node.op_type in MOVING or node.op_type in _ADDING:
            return True
        if node.op_type not in ("Mul", "Div") or (node.op_type == "Div" and index):
            return False
        other = node.input[1 - index]
        if other not in self.graph.weights:
            lowest, highest = self.ranges.get(other, (-np.inf, np.inf))
            is_small = max(-lowest, highest) <= 1
            return node.op_type == "Mul" and is_small and self._is_whole(other)
        size = np.abs(self.graph.weight(other))
        scale = size if node.op_type == "Mul" else 1 / np.maximum(size, 1e-30)
        return bool(scale.size and scale.max() <= 1 and scale.min() >= 1 / _LARGEST_DIVISOR)

    def _is_whole(self, name: str) -> bool:
        """Whether its values are whole numbers: made of integers or booleans."""
        graph, waiting, passed = self.graph, [name], {name}
        while waiting:
            one = waiting.pop()
            if one in graph.weights:
                if (graph.weight(one) % 1).any():
                    return False
                continue
            node = graph.producer.get(one)
            if node is None or not is_standard(node):
                return False
            floats = {other for other in node.input if graph.is_float(other)}
            if floats and node.op_type not in _WHOLE and node.op_type not in MOVING:
                return False
            if not floats and node.op_type != "Cast":
                return False
            waiting += floats - passed
            passed |= floats
        return True


def _ends(node: onnx.NodeProto, index: int) -> bool:
    """Whether it makes the same of a lower value."""
    if is_standard(node):
        kind = {"Softmax": 0, "Attention": 3}.get(node.op_type)
        return kind == index
    return (node.op_type, index) == ("MultiHeadAttention", 5)
