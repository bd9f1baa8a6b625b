"""Consecutive nodes that one can stand for: casts, and nodes that only change the shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesmith.model.value_types import ValueType
from edgesmith.simplify.graph import Editing, attribute

if TYPE_CHECKING:
    import onnx

_SHAPERS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def fuse_casts(model: onnx.ModelProto) -> bool:
    """A cast after one that loses nothing is taken from the first one's input."""
    import numpy as np
    from onnx import helper

    graph = Editing(model)
    types = graph.types()
    for node in graph.graph.node:
        first = graph.producer.get(node.input[0]) if node.op_type == "Cast" else None
        if first is None or not graph.is_standard(first, "Cast"):
            continue
        source = types.get(first.input[0])
        numbers = (source.element if source else 0, attribute(first, "to"), attribute(node, "to"))
        if not all(number in _numeric_types() for number in numbers):
            continue
        before, between, _ = (helper.tensor_dtype_to_np_dtype(number) for number in numbers)
        # Between integers and floats only bool is sure: int64 has more digits than float64.
        if before.kind not in (between.kind, "b") or not np.can_cast(before, between, "safe"):
            continue
        graph.set_input(node, 0, first.input[0])
        if numbers[0] == numbers[2]:
            graph.bypass(node)
    return graph.close()


def _numeric_types() -> set[int]:
    """Element types of which numpy tells whether a conversion keeps every value."""
    import numpy as np
    from onnx import helper

    names = ("bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64",
             "uint8", "uint16", "uint32", "uint64")  # fmt: skip
    return {int(helper.np_dtype_to_tensor_dtype(np.dtype(name))) for name in names}


def fuse_reshapes(model: onnx.ModelProto) -> bool:
    """A Reshape to sizes of its own needs no change of shape before it."""
    graph = Editing(model)
    for node in graph.graph.node:
        if not graph.is_standard(node, "Reshape"):
            continue
        first = graph.producer.get(node.input[0])
        target = graph.constant(node.input[1]) if len(node.input) > 1 else None
        if target is None or (target == 0).any() or not graph.is_standard(first, *_SHAPERS):
            continue
        assert first is not None
        graph.set_input(node, 0, first.input[0])
    return graph.close()


def fix_reshape_targets(model: onnx.ModelProto) -> bool:
    """A Reshape that computes its target from its own input's sizes gets it as a constant.

    `x.view(x.size(0), -1)` becomes `Reshape(x, [0, -1])`.
    """
    import numpy as np

    graph = Editing(model)
    types = graph.types()
    for node in graph.graph.node:
        if not graph.is_standard(node, "Reshape") or attribute(node, "allowzero"):
            continue
        concat = graph.producer.get(node.input[1]) if len(node.input) > 1 else None
        if concat is None or not graph.is_standard(concat, "Concat"):
            continue
        target = _target(graph, node.input[0], list(concat.input), types)
        if target is not None:
            name = graph.add_constant(np.array(target, np.int64), node.input[1])
            graph.set_input(node, 1, name)
    return graph.close()


def _target(
    graph: Editing, data: str, parts: list[str], types: dict[str, ValueType]
) -> list[int] | None:
    """The target's sizes: 0 where it takes that of the same axis; None when it does other things.

    A part that is neither becomes -1 where it is one size, and the only one.
    """
    target: list[int] = []
    for part in parts:
        constant = graph.constant(part)
        if constant is not None:
            if (constant == 0).any():
                return None
            target += [int(size) for size in constant.reshape(-1)]
            continue
        if types.get(part, ValueType(element=0, dims=None)).dims != (1,):
            return None
        axis = _axis_of(graph, data, part)
        if axis != len(target) and -1 in target:
            return None
        target.append(0 if axis == len(target) else -1)
    return target if target.count(-1) <= 1 else None


def _axis_of(graph: Editing, data: str, name: str) -> int | None:
    """The axis of `data` whose size this is, as [size]; None when it is something else."""
    node = graph.producer.get(name)
    if node is not None and graph.is_standard(node, "Shape") and node.input[0] == data:
        start, end = attribute(node, "start") or 0, attribute(node, "end")
        return start if start >= 0 and end == start + 1 else None
    if node is not None and graph.is_standard(node, "Unsqueeze", "Reshape"):
        node = graph.producer.get(node.input[0])
    if node is None or not graph.is_standard(node, "Gather"):
        return None
    shape, index = graph.producer.get(node.input[0]), graph.constant(node.input[1])
    if shape is None or not graph.is_standard(shape, "Shape") or shape.input[0] != data:
        return None
    whole = attribute(shape, "start") in (None, 0) and attribute(shape, "end") is None
    fits = whole and index is not None and index.size == 1 and int(index.reshape(())) >= 0
    return int(index.reshape(())) if fits and index is not None else None
