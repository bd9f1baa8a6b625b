"""Why nodes stay in FP32: what the user, the operator, the weights or the values ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgesmith.quantize.half.arguments import arguments, sizes
from edgesmith.quantize.half.graph import FloatGraph
from edgesmith.quantize.half.limits import (
    LARGEST,
    LARGEST_SEEN,
    SMALLEST_NORMAL,
    why_not_half,
)
from edgesmith.quantize.half.masks import Masks
from edgesmith.quantize.half.operators import SENSITIVE, has_half, is_standard
from edgesmith.quantize.half.plan import tensors_of, weights_of
from edgesmith.simplify.graph import subgraphs

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class _Judge:
    graph: FloatGraph
    exclude: Collection[str]
    masks: frozenset[str]
    largest: Mapping[str, float]
    unfit: Mapping[str, str]

    def why(self, node: onnx.NodeProto) -> str | None:
        if node.name in self.exclude:
            return "[quantize] exclude names it"
        if next(subgraphs(node), None) is not None:
            return "what its bodies compute is not observed"
        if not has_half(node):
            domain = "" if is_standard(node) else f"{node.domain}."
            return f"ONNX Runtime has no FP16 kernel of {domain}{node.op_type} on GPUs"
        if is_standard(node) and node.op_type in SENSITIVE:
            return SENSITIVE[node.op_type]
        return self._why_weights(node) or self._why_values(node)

    def _why_weights(self, node: onnx.NodeProto) -> str | None:
        found = [name for name in weights_of(self.graph, node) if name in self.unfit]
        return f"the weight '{found[0]}' {self.unfit[found[0]]}" if found else None

    def _why_values(self, node: onnx.NodeProto) -> str | None:
        total = 0.0
        for name in tensors_of(self.graph, node):
            largest = self.largest.get(name, 0.0)
            if name in self.masks or largest == 0:
                continue
            if largest > LARGEST_SEEN:
                return f"'{name}' holds {largest:.4g}, beyond a quarter of FP16's {LARGEST:.0f}"
            if largest < SMALLEST_NORMAL:
                return f"'{name}' holds {largest:.1g} at most, of which FP16 has few bits"
            total += largest if name in node.input else 0.0
        if node.op_type == "Sum" and total > LARGEST:
            return "what it adds up may go beyond FP16 before the last"
        return None


def reasons_for_float(
    masks: Masks, largest: Mapping[str, float], exclude: Collection[str]
) -> dict[str, str]:
    """For the nodes that stay in FP32, by name, why.

    `largest` is the largest magnitude that each tensor was seen with.
    """
    graph = masks.graph
    stored = [name for name in graph.weights if name not in graph.bounds]
    unfit = {name: why for name in stored if (why := why_not_half(graph.weight(name)))}
    judge = _Judge(graph=graph, exclude=exclude, masks=masks.tensors, largest=largest, unfit=unfit)
    found = {}
    for node in graph.model.graph.node:
        if graph.computes_in_float(node):
            why = judge.why(node)
            if why is not None:
                found[node.name] = why
    others = {
        **dict.fromkeys(sizes(graph), "it computes with sizes of tensors"),
        **dict.fromkeys(arguments(graph), "its result becomes an index, or an angle"),
    }
    return {**others, **found}
