"""The inputs and outputs of an exported graph, brought to what the source takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgesmith.errors import ModelError

if TYPE_CHECKING:
    import onnx

_HINT = "see the reasons of the other exporters, or take another [model] exporter"


def fit_interface(
    model: onnx.ModelProto, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[str]
) -> None:
    """Orders and names the graph's inputs as declared, in place; raises ModelError.

    Inputs that the exporter dropped because nothing uses them come back. A dynamic dimension that
    the exporter made a fixed one is an error: nothing here hides a wrong graph.
    """
    graph = model.graph
    found = {value.name: value for value in graph.input}
    known = {one["name"] for one in inputs}
    stray = [n for n in found if n not in known and n not in {i.name for i in graph.initializer}]
    if stray:
        raise _unfit(f"it has inputs that the source does not have: {', '.join(stray)}")
    names = [value.name for value in graph.output]
    if names != list(outputs):
        raise _unfit(f"its outputs are {', '.join(names)}, the source's {', '.join(outputs)}")
    renamed: dict[str, str] = {}
    ordered = [
        _fitted(found[one["name"]], one, renamed) if one["name"] in found else _unused(one)
        for one in inputs
    ]
    del graph.input[:]
    graph.input.extend(ordered)
    _rename_dimensions(graph, renamed)


def _unfit(what: str) -> ModelError:
    return ModelError(what, where="the exported model", hint=_HINT)


def _fitted(value: Any, one: Mapping[str, Any], renamed: dict[str, str]) -> Any:
    dims = value.type.tensor_type.shape.dim
    name, shape = one["name"], one["shape"]
    if len(dims) != len(shape):
        raise _unfit(f"its input '{name}' has {len(dims)} dimensions instead of {len(shape)}")
    for axis, (dim, wanted) in enumerate(zip(dims, shape, strict=True)):
        if isinstance(wanted, int):
            if dim.HasField("dim_value") and dim.dim_value != wanted:
                raise _unfit(f"its input '{name}' has the size {dim.dim_value} on axis {axis}")
            dim.dim_value = wanted
        elif dim.HasField("dim_value"):
            raise _unfit(
                f"it fixes the dynamic dimension '{wanted}' (axis {axis} of '{name}') at"
                f" {dim.dim_value}"
            )
        else:
            if dim.dim_param:
                renamed[dim.dim_param] = wanted
            dim.dim_param = wanted
    return value


def _unused(one: Mapping[str, Any]) -> Any:
    import numpy as np
    from onnx import helper

    element = helper.np_dtype_to_tensor_dtype(np.dtype(one["dtype"]))
    return helper.make_tensor_value_info(one["name"], element, list(one["shape"]))


def _rename_dimensions(graph: Any, renamed: Mapping[str, str]) -> None:
    for value in (*graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in renamed:
                dim.dim_param = renamed[dim.dim_param]


def loosen_outputs(model: onnx.ModelProto, shapes: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """Makes output dimensions dynamic that were seen with another size, in place.

    `shapes` holds what each output had on each probe. Exporters note sizes of the example there,
    which the graph itself does not keep.
    """
    for value in model.graph.output:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            seen = {shape[axis] for shape in shapes[value.name]}
            if dim.HasField("dim_value") and seen != {dim.dim_value}:
                dim.dim_param = f"{value.name}_dim_{axis}"
