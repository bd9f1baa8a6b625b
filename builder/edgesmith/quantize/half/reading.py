"""Reads a prepared model for its conversion to FP16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgesmith.model import numeric
from edgesmith.model.value_types import value_types
from edgesmith.quantize.half.graph import BFLOAT, FLOAT, HALF, FloatGraph
from edgesmith.quantize.half.operators import is_standard
from edgesmith.simplify.graph import attribute, constant_tensor, remove_dead

if TYPE_CHECKING:
    import onnx


def read_graph(prepared: onnx.ModelProto) -> FloatGraph:
    """The model with all constants as initializers, in float where it stores them in FP16 only to
    compute in float."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    _store_constants(model.graph)
    _widen_weights(model.graph)
    remove_dead(model)
    return FloatGraph(model=model, types=_types(model))


def _store_constants(graph: onnx.GraphProto) -> None:
    outputs = {one.name for one in graph.output}
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if node.op_type != "Constant" or not is_standard(node) or node.output[0] in outputs:
            continue
        tensor = constant_tensor(node)
        if tensor is not None and tensor.data_type in (FLOAT, HALF, BFLOAT):
            stored = graph.initializer.add()
            stored.CopyFrom(tensor)
            stored.name = node.output[0]
            del graph.node[index]


def _widen_weights(graph: onnx.GraphProto) -> None:
    from onnx import numpy_helper

    outputs = {one.name for one in graph.output}
    inputs = {one.name for one in graph.input}
    stored = {one.name: one for one in graph.initializer if one.data_type in (HALF, BFLOAT)}
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if node.op_type != "Cast" or attribute(node, "to") != FLOAT or node.output[0] in outputs:
            continue
        tensor = stored.get(node.input[0])
        if tensor is not None and tensor.name not in inputs:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            del graph.node[index]


def _types(model: onnx.ModelProto) -> dict[str, int]:
    found = {name: one.element for name, one in value_types(model).items() if one.element}
    made = [name for node in model.graph.node for name in node.output if name]
    unknown = [name for name in made if name not in found]
    return found | (_types_at_load(model, unknown) if unknown else {})


def _types_at_load(model: onnx.ModelProto, names: list[str]) -> dict[str, int]:
    """Of operators that ONNX does not know: ONNX Runtime infers the types of outputs."""
    import onnx

    told = onnx.ModelProto()
    told.CopyFrom(model)
    for name in names:
        told.graph.output.add().name = name
    session = numeric.open_session(told.SerializeToString(deterministic=True))
    kinds = {"tensor(float)": FLOAT, "tensor(float16)": HALF, "tensor(bfloat16)": BFLOAT}
    found = {one.name: kinds.get(one.type, 0) for one in session.get_outputs()}
    return {name: found[name] for name in names}
