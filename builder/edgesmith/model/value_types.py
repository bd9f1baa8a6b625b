"""Element types and shapes of a graph's values, inferred without touching its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# Shape inference reads the values of small constants, such as the target of a Reshape.
_SMALL_ELEMENTS = 64
# How shape inference calls sizes that it does not know.
_MADE_UP = "unk__"


@dataclass(frozen=True, kw_only=True)
class ValueType:
    """A tensor's ONNX element type; `dims` is None where not even the rank is known.

    A dimension is a size, a name, or "" when nothing is known of it.
    """

    element: int
    dims: tuple[int | str, ...] | None

    def is_static(self) -> bool:
        return self.dims is not None and all(isinstance(dim, int) for dim in self.dims)


def value_types(model: onnx.ModelProto) -> dict[str, ValueType]:
    """The tensors of the main graph by name, as far as shape inference finds them.

    Weights go in as inputs of their type, so that neither time nor memory grows with them; their
    data may be elsewhere.
    """
    import onnx

    try:
        inferred = onnx.shape_inference.infer_shapes(_without_weights(model), data_prop=True)
    except Exception:
        # What the file says itself is left: inference refuses some right models, such as those
        # with operators of which onnx has no newer schema.
        inferred = model
    found = {
        tensor.name: ValueType(element=tensor.data_type, dims=tuple(tensor.dims))
        for tensor in model.graph.initializer
    }
    graph = inferred.graph
    for value in (*graph.value_info, *graph.output, *graph.input):
        if value.type.HasField("tensor_type"):
            found[value.name] = _value_type(value.type.tensor_type)
    return found


def _value_type(tensor: onnx.TypeProto.Tensor) -> ValueType:
    if not tensor.HasField("shape"):
        return ValueType(element=tensor.elem_type, dims=None)
    dims = tuple(
        dim.dim_value if dim.HasField("dim_value") else _name_of(dim) for dim in tensor.shape.dim
    )
    return ValueType(element=tensor.elem_type, dims=dims)


def _name_of(dim: onnx.TensorShapeProto.Dimension) -> str:
    return "" if dim.dim_param.startswith(_MADE_UP) else str(dim.dim_param)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large initializers as inputs; nodes' own tensors stay."""
    import onnx
    from onnx import helper

    light = onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions
    )
    graph, source = light.graph, model.graph
    graph.name = source.name
    graph.node.extend(source.node)
    graph.input.extend(source.input)
    graph.output.extend(source.output)
    graph.value_info.extend(source.value_info)
    declared = {value.name for value in source.input}
    for tensor in source.initializer:
        outside = tensor.data_location == onnx.TensorProto.EXTERNAL
        if not outside and elements(tensor) <= _SMALL_ELEMENTS:
            graph.initializer.append(tensor)
        elif tensor.name not in declared:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return light


def elements(tensor: onnx.TensorProto) -> int:
    """How many elements a tensor has."""
    count = 1
    for dim in tensor.dims:
        count *= dim
    return count
