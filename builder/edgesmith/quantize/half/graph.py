"""A float model as the conversion to FP16 sees it: the types of all tensors, and who reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.model import onnx_file
from edgesmith.quantize.half.limits import LARGEST, to_half
from edgesmith.quantize.half.operators import is_indifferent
from edgesmith.simplify.graph import subgraphs, used_by

if TYPE_CHECKING:
    import onnx

    Array = np.ndarray[Any, Any]

FLOAT, HALF, BFLOAT = 1, 10, 16


@dataclass(frozen=True, kw_only=True)
class FloatGraph:
    """`types` are the element types of the main graph's tensors, its weights included. `bounds`
    are weights that only say "no bound" to a Clip: FP16's largest does for them."""

    model: onnx.ModelProto
    types: Mapping[str, int]
    bounds: frozenset[str] = frozenset()

    @cached_property
    def opset(self) -> int:
        return onnx_file.opset_of(self.model)

    @cached_property
    def inputs(self) -> frozenset[str]:
        return frozenset(one.name for one in self.model.graph.input)

    @cached_property
    def outputs(self) -> frozenset[str]:
        return frozenset(one.name for one in self.model.graph.output)

    @cached_property
    def inner(self) -> frozenset[str]:
        """What bodies of branches and loops read: it stays FP32 under its name."""
        names: set[str] = set()
        for node in self.model.graph.node:
            for body in subgraphs(node):
                names |= {one.name for one in body.output}
                names |= {name for one in body.node for name in used_by(one)}
        return frozenset(names)

    @cached_property
    def nodes(self) -> dict[str, onnx.NodeProto]:
        """By name; a prepared model names them all."""
        return {node.name: node for node in self.model.graph.node}

    @cached_property
    def producer(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.model.graph.node for name in node.output if name}

    @cached_property
    def readers(self) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
        """For each tensor the nodes that take it, and as which input."""
        found: dict[str, list[tuple[onnx.NodeProto, int]]] = defaultdict(list)
        for node in self.model.graph.node:
            for index, name in enumerate(node.input):
                if name:
                    found[name].append((node, index))
        return found

    @cached_property
    def weights(self) -> dict[str, onnx.TensorProto]:
        """The float initializers that no input replaces."""
        return {
            one.name: one
            for one in self.model.graph.initializer
            if one.data_type == FLOAT and one.name not in self.inputs
        }

    def weight(self, name: str) -> Array:
        """The values, float32, of one of the weights."""
        from onnx import numpy_helper

        values: Array = numpy_helper.to_array(self.weights[name])
        return values

    def half_weight(self, name: str) -> Array:
        """The same in FP16."""
        values = self.weight(name)
        return to_half(np.clip(values, -LARGEST, LARGEST) if name in self.bounds else values)

    @cached_property
    def float_tensors(self) -> list[str]:
        """Inputs and results in float32, in the order of the graph."""
        made = [name for node in self.model.graph.node for name in node.output]
        names = [*(one.name for one in self.model.graph.input), *made]
        return [name for name in names if self.is_float(name)]

    def is_float(self, name: str) -> bool:
        return bool(name) and self.types.get(name) == FLOAT

    def computes_in_float(self, node: onnx.NodeProto) -> bool:
        """Whether precision matters to it: not to a Shape, or a Cast to integers."""
        if any(self.is_float(name) for name in node.output):
            return True
        if is_indifferent(node):
            return False
        return any(self.is_float(name) for name in used_by(node))

    def in_half(self) -> list[str]:
        """The nodes but conversions that take or give a float16 or bfloat16 as the model is."""
        return [
            node.name
            for node in self.model.graph.node
            if not is_indifferent(node)
            and any(self.types.get(name) in (HALF, BFLOAT) for name in (*node.input, *node.output))
        ]
