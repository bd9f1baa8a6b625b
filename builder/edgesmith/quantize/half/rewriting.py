"""Writes the model that a plan describes.

onnxruntime.transformers.float16 has a function for this, too, of which nothing is used. With nodes
that stay in FP32 it converts a tensor once for each reader under one name, which does not load;
between two such nodes it rounds to FP16 and back, so that what was to be saved overflows; Casts of
bodies land in the main graph; its own names may be the model's; weights beyond FP16 become 65504
without a word; and it does not put nodes in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgesmith.quantize.half.graph import FLOAT, HALF
from edgesmith.quantize.half.limits import to_half
from edgesmith.quantize.half.operators import is_standard
from edgesmith.quantize.half.plan import Plan
from edgesmith.simplify.graph import attribute, remove_dead, used_by

if TYPE_CHECKING:
    import onnx


def in_half(plan: Plan) -> onnx.ModelProto:
    """The model whose nodes compute in FP16 where the plan says so; inputs and outputs stay."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(plan.graph.model)
    del model.graph.node[:]
    writer = _Writer(plan=plan, graph=model.graph, names=Names(plan))
    for node in plan.graph.model.graph.node:
        writer.write(node)
    for value in model.graph.value_info:
        if plan.is_half(value.name) and writer.halves.get(value.name) == value.name:
            value.type.tensor_type.elem_type = HALF
    remove_dead(model)
    return model


class Names:
    """Makes names of tensors and nodes that the model has not got."""

    def __init__(self, plan: Plan) -> None:
        model = plan.graph.model
        self._taken = {one.name for one in model.graph.initializer}
        self._taken |= plan.graph.inputs | plan.graph.outputs | plan.graph.inner
        for node in model.graph.node:
            self._taken |= {node.name, *node.output, *used_by(node)}

    def fresh(self, like: str) -> str:
        name, number = like, 1
        while name in self._taken:
            number += 1
            name = f"{like}/{number}"
        self._taken.add(name)
        return name


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """`halves` and `floats` say how the tensors are called in each precision, once they are."""

    plan: Plan
    graph: onnx.GraphProto
    names: Names
    halves: dict[str, str] = field(default_factory=dict)
    floats: dict[str, str] = field(default_factory=dict)

    def write(self, node: onnx.NodeProto) -> None:
        import onnx

        if self._was_half(node):
            self.halves[node.output[0]] = node.input[0]
            return
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for index, name in enumerate(node.input):
            new.input[index] = self._read(node, index, name)
        self._retype(new, node)
        made = [(i, name) for i, name in enumerate(node.output) if self.plan.is_half(name)]
        shown = self.plan.graph.outputs | self.plan.graph.inner
        for index, name in made:
            keeps_name = name not in shown
            new.output[index] = name if keeps_name else self.names.fresh(f"{name}/half")
            self.halves[name] = new.output[index]
        self.graph.node.append(new)
        for _, name in made:
            if name in shown:
                self.floats[name] = self._cast(self.halves[name], name, FLOAT)

    def _was_half(self, node: onnx.NodeProto) -> bool:
        """Whether it only widens a tensor that the model has in FP16 already."""
        types, name = self.plan.graph.types, node.output[0]
        is_cast = is_standard(node) and node.op_type == "Cast" and self.plan.is_half(name)
        shown = self.plan.graph.outputs | self.plan.graph.inner
        return is_cast and types.get(node.input[0]) == HALF and name not in shown

    def _read(self, node: onnx.NodeProto, index: int, name: str) -> str:
        wants = self.plan.wants_half(node, index)
        if wants is None:
            return self.halves[name] if self.plan.is_half(name) else name
        if name in self.plan.graph.weights:
            return self._weight(name) if wants else name
        if wants:
            if name not in self.halves:
                made = self.names.fresh(f"{name}/half")
                self.halves[name] = self._cast(name, made, HALF)
            return self.halves[name]
        if self.plan.is_half(name) and name not in self.floats:
            made = self.names.fresh(f"{name}/float")
            self.floats[name] = self._cast(self.halves[name], made, FLOAT)
        return self.floats.get(name, name)

    def _cast(self, source: str, made: str, kind: int) -> str:
        from onnx import helper

        name = self.names.fresh(f"{made}/cast")
        self.graph.node.append(helper.make_node("Cast", [source], [made], name=name, to=kind))
        return made

    def _weight(self, name: str) -> str:
        """The weight in FP16, beside the one in FP32 if that has other readers."""
        from onnx import numpy_helper

        if name not in self.halves:
            self.halves[name] = self.names.fresh(f"{name}/half")
            values = self.plan.graph.half_weight(name)
            self.graph.initializer.append(numpy_helper.from_array(values, self.halves[name]))
        return self.halves[name]

    def _retype(self, new: onnx.NodeProto, node: onnx.NodeProto) -> None:
        """What a node says of its results' type becomes FP16 as they do."""
        if not is_standard(node) or not any(map(self.plan.is_half, node.output)):
            return
        if node.op_type == "Cast":
            for one in new.attribute:
                one.i = HALF if one.name == "to" else one.i
        elif node.op_type == "ConstantOfShape":
            _fill_in_half(new)


def _fill_in_half(node: onnx.NodeProto) -> None:
    from onnx import helper, numpy_helper

    value = attribute(node, "value")
    values = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    del node.attribute[:]
    half = numpy_helper.from_array(to_half(values), "value")
    node.attribute.append(helper.make_attribute("value", half))
