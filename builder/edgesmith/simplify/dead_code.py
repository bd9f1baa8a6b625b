"""Removes what no output needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesmith.simplify.graph import Editing, allow_initializers

if TYPE_CHECKING:
    import onnx


def remove_dead_code(model: onnx.ModelProto) -> bool:
    """Unused nodes, weights and functions, and optional outputs that nothing reads.

    Weights that stand among the inputs, as IR version 3 wants it, become constants: nothing
    feeds them.
    """
    declared = _take_from_inputs(model)
    graph = Editing(model)
    for node in graph.graph.node:
        if graph.is_standard(node, node.op_type):
            _drop_optional_outputs(graph, node)
    return graph.close() or declared


def _take_from_inputs(model: onnx.ModelProto) -> bool:
    inputs, weights = model.graph.input, {tensor.name for tensor in model.graph.initializer}
    positions = [index for index, value in enumerate(inputs) if value.name in weights]
    for index in reversed(positions):
        del inputs[index]
    if positions:
        allow_initializers(model)
    return bool(positions)


def _drop_optional_outputs(graph: Editing, node: onnx.NodeProto) -> None:
    """Takes unused outputs off a node's end, such as the mask of a Dropout."""
    from onnx import defs

    while len(node.output) > 1:
        last = len(node.output) - 1
        name = node.output[last]
        if name and (name in graph.users or name in graph.outputs):
            return
        try:
            formal = defs.get_schema(node.op_type, graph.opset, "").outputs[last:]
        except defs.SchemaError:
            return
        if not formal or formal[0].option != defs.OpSchema.FormalParameterOption.Optional:
            return
        del node.output[last]
        graph.changed()
