"""Counts the multiply-adds of a model, so that impossible times can be told from good ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

# Tensors up to this size may be shapes, which the inference of shapes reads.
_MAX_SHAPE_ELEMENTS = 1024
_DATA_FIELDS = (
    "raw_data", "float_data", "int32_data", "int64_data", "double_data", "external_data",
    "data_location",
)  # fmt: skip
# Where an operator has its weights, or its right side.
_CONVOLUTION_WEIGHTS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = ("MatMul", "MatMulInteger", "QLinearMatMul")

Shapes = Mapping[str, tuple[int, ...]]


def multiply_adds_per_sample(model: onnx.ModelProto) -> int:
    """A lower bound of the multiply-adds of one sample.

    Counted are convolutions and matrix products whose shapes are known, outside of loops and
    branches, with every dynamic dimension at 1. A batch of b takes at least b times as many.
    """
    once = _count(model, leading=1)
    if not _has_dynamic_leading_dimension(model):
        return once
    return max(0, min(once, _count(model, leading=2) - once))


def _graph_inputs(graph: Any) -> list[Any]:
    initializers = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in initializers]


def _has_dynamic_leading_dimension(model: onnx.ModelProto) -> bool:
    shapes = [value.type.tensor_type.shape.dim for value in _graph_inputs(model.graph)]
    return any(dims and not dims[0].HasField("dim_value") for dims in shapes)


def _count(model: onnx.ModelProto, *, leading: int) -> int:
    shapes = _shapes(model, leading)
    computed = {value.name for value in _graph_inputs(model.graph)}
    total = 0
    for node in model.graph.node:
        # What hangs on constants alone is computed once, at load.
        if computed.isdisjoint(node.input):
            continue
        computed.update(node.output)
        total += _of_node(node, shapes)
    return total


def _shapes(model: onnx.ModelProto, leading: int) -> Shapes:
    """All shapes that can be inferred, with leading dynamic dimensions of this size."""
    import onnx

    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    graph = sized.graph
    initializers = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for tensor in graph.initializer:
        if math.prod(tensor.dims) > _MAX_SHAPE_ELEMENTS:
            for field in _DATA_FIELDS:
                tensor.ClearField(field)
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    _set_sizes(_graph_inputs(graph), leading)
    inferred = onnx.shape_inference.infer_shapes(sized, data_prop=True).graph
    found = dict(initializers)
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found


def _set_sizes(inputs: list[Any], leading: int) -> None:
    leading_names = {
        dims[0].dim_param
        for dims in (value.type.tensor_type.shape.dim for value in inputs)
        if dims and dims[0].dim_param
    }
    for value in inputs:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.HasField("dim_value"):
                continue
            is_leading = axis == 0 or dim.dim_param in leading_names
            dim.dim_value = leading if is_leading else 1


def _of_node(node: Any, shapes: Shapes) -> int:
    """Multiply-adds of one node; 0 where it has none or a shape is not known."""
    first = shapes.get(node.input[0]) if node.input else None
    output = shapes.get(node.output[0])
    if not first or output is None:
        return 0
    operator = node.op_type
    if operator in _CONVOLUTION_WEIGHTS:
        weights = shapes.get(node.input[_CONVOLUTION_WEIGHTS[operator]])
        return math.prod(output) * math.prod(weights[1:]) if weights else 0
    if operator == "ConvTranspose":
        weights = shapes.get(node.input[1])
        return math.prod(first) * math.prod(weights[1:]) if weights else 0
    if operator == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(output) * first[0 if transposed else -1]
    if operator in _PRODUCTS:
        return math.prod(output) * first[-1]
    return 0
