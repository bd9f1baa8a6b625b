"""Cancels permutes where they meet, through the operators between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgesmith.simplify.graph import Editing, attribute

if TYPE_CHECKING:
    import onnx

Permutation = tuple[int, ...]

# Each element of the output is computed from those at the same place; inputs are broadcast.
_ELEMENTWISE = frozenset({
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil",
    "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
    "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
    "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Sub", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
})  # fmt: skip
# The same with an axis, that is permuted too.
_WITH_AXIS = frozenset({"Concat", "Softmax", "LogSoftmax"})
# Before it, softmax flattens all axes from its own on.
_OPSET_OF_ONE_AXIS = 13
# A tree of operators above a permute is searched so far up.
_LARGEST_REGION = 64


def cancel_transposes(model: onnx.ModelProto) -> bool:
    """Takes out permutes that undo each other, directly or across element-wise operators."""
    changed = _compose(model)
    while _cancel_one_round(model):
        changed = True
        _compose(model)
    return changed


def _compose(model: onnx.ModelProto) -> bool:
    """A permute of a permute is one permute, or none."""
    from onnx import helper

    graph = Editing(model)
    for node in graph.graph.node:
        permutation = _permutation(graph, node)
        if permutation is None:
            continue
        first = graph.producer.get(node.input[0])
        before = _permutation(graph, first)
        if first is not None and before is not None:
            permutation = tuple(before[axis] for axis in permutation)
            graph.set_input(node, 0, first.input[0])
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("perm", permutation))
        if permutation == tuple(range(len(permutation))):
            graph.bypass(node)
    return graph.close()


def _permutation(graph: Editing, node: onnx.NodeProto | None) -> Permutation | None:
    if node is None or not graph.is_standard(node, "Transpose"):
        return None
    found = attribute(node, "perm")
    return None if found is None else tuple(found)


def _cancel_one_round(model: onnx.ModelProto) -> bool:
    graph = Editing(model)
    for node in graph.graph.node:
        permutation = _permutation(graph, node)
        if permutation is None:
            continue
        below = graph.users[node.input[0]]
        if node.input[0] in graph.outputs or not all(
            _permutation(graph, one) == permutation for one in below
        ):
            continue
        region = _Region(graph, permutation)
        if region.takes_in(graph.producer.get(node.input[0])) and region.can_be_permuted():
            region.permute()
            for one in list(below):
                graph.bypass(one)
            return graph.close()
    return False


class _Region:
    """The operators above a permute that can run before it, up to permutes that undo it."""

    def __init__(self, graph: Editing, permutation: Permutation) -> None:
        self._graph, self._permutation = graph, permutation
        self._undone = tuple(permutation.index(axis) for axis in range(len(permutation)))
        self._inside: list[onnx.NodeProto] = []
        # (node, index) of an input -> the permute that goes, or the constant that is permuted.
        self._permutes: list[tuple[onnx.NodeProto, int, onnx.NodeProto]] = []
        self._constants: list[tuple[onnx.NodeProto, int]] = []

    def takes_in(self, node: onnx.NodeProto | None) -> bool:
        """Whether the node and all that it reads can run before the permute; collects them."""
        if node is None or not self._movable(node):
            return False
        if any(node is one for one in self._inside):
            return True
        if len(self._inside) == _LARGEST_REGION:
            return False
        self._inside.append(node)
        return all(self._takes(node, index, one) for index, one in enumerate(node.input) if one)

    def _movable(self, node: onnx.NodeProto) -> bool:
        if len(node.output) != 1:
            return False
        if self._graph.is_standard(node, *_WITH_AXIS):
            return node.op_type == "Concat" or self._graph.opset >= _OPSET_OF_ONE_AXIS
        return self._graph.is_standard(node, *_ELEMENTWISE)

    def _takes(self, node: onnx.NodeProto, index: int, name: str) -> bool:
        above = self._graph.producer.get(name)
        if above is not None and _permutation(self._graph, above) == self._undone:
            self._permutes.append((node, index, above))
            return True
        constant = self._graph.constant(name)
        if constant is None:
            return self._graph.only_user(name) is not None and self.takes_in(above)
        if constant.size == 1 and constant.ndim <= 1 and node.op_type != "Concat":
            return True
        if constant.ndim > len(self._permutation):
            return False
        self._constants.append((node, index))
        return True

    def can_be_permuted(self) -> bool:
        """Whether there is a permute to meet, and each axis counts from the same first one."""
        rank = len(self._permutation)
        values = [self._graph.constant(node.input[index]) for node, index in self._constants]
        lower = any(value is not None and value.ndim < rank for value in values)
        return bool(self._permutes) and not (lower and any(map(_has_axis, self._inside)))

    def permute(self) -> None:
        """Lets the region compute in the permuted layout."""
        for node, index, above in self._permutes:
            self._graph.set_input(node, index, above.input[0])
        for node, index in self._constants:
            self._permute_constant(node, index)
        for node in self._inside:
            self._graph.forget_type(node.output[0])
            for one in self._axes_of(node):
                one.i = self._permutation.index(one.i % len(self._permutation))

    def _axes_of(self, node: onnx.NodeProto) -> Iterator[onnx.AttributeProto]:
        from onnx import helper

        if not _has_axis(node):
            return
        if attribute(node, "axis") is None:
            node.attribute.append(helper.make_attribute("axis", -1))
        yield from (one for one in node.attribute if one.name == "axis")

    def _permute_constant(self, node: onnx.NodeProto, index: int) -> None:
        name = node.input[index]
        value = self._graph.constant(name)
        assert value is not None
        rank = len(self._permutation)
        value = value.reshape((1,) * (rank - value.ndim) + value.shape)
        permuted = value.transpose(self._permutation).copy()
        self._graph.set_input(node, index, self._graph.add_constant(permuted, name))


def _has_axis(node: onnx.NodeProto) -> bool:
    return node.op_type in _WITH_AXIS
