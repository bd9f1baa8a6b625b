"""Takes out nodes that do nothing, where onnxsim's own passes leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgesmith.model.value_types import ValueType
from edgesmith.simplify.graph import Editing

if TYPE_CHECKING:
    import onnx

_OPSET_OF_INFERENCE_DROPOUT = 7
_OPSET_OF_CLIP_INPUTS = 11
_OPSET_OF_SLICE_INPUTS = 10
# At least as far as any axis reaches: exporters write these for "to the end".
_TO_THE_END = 2**31 - 1


def remove_no_ops(model: onnx.ModelProto) -> bool:
    """Dropout of inference, whole slices, sums of one, limits without bounds."""
    graph = Editing(model)
    for node in graph.graph.node:
        test = _TESTS.get(node.op_type)
        if test is not None and graph.is_standard(node, node.op_type) and test(graph, node):
            graph.bypass(node)
    return graph.close()


def _is_inference_dropout(graph: Editing, node: onnx.NodeProto) -> bool:
    if graph.opset < _OPSET_OF_INFERENCE_DROPOUT:
        return False
    if len(node.output) > 1 and (node.output[1] in graph.users or node.output[1] in graph.outputs):
        return False
    if len(node.input) < 3 or not node.input[2]:
        return True
    training = graph.constant(node.input[2])
    return training is not None and not training.any()


def _has_one_input(graph: Editing, node: onnx.NodeProto) -> bool:
    return len(node.input) == 1


def _is_boundless(graph: Editing, node: onnx.NodeProto) -> bool:
    return graph.opset >= _OPSET_OF_CLIP_INPUTS and not any(node.input[1:])


def _is_whole(graph: Editing, node: onnx.NodeProto) -> bool:
    if graph.opset < _OPSET_OF_SLICE_INPUTS:
        return False
    starts, ends = graph.constant(node.input[1]), graph.constant(node.input[2])
    steps = graph.constant(node.input[4]) if len(node.input) > 4 and node.input[4] else None
    if len(node.input) > 4 and node.input[4] and steps is None:
        return False
    if starts is None or ends is None or not (starts == 0).all():
        return False
    one_by_one = steps is None or bool((steps == 1).all())
    return one_by_one and _reach(graph, node, [int(end) for end in ends])


def _reach(graph: Editing, node: onnx.NodeProto, ends: list[int]) -> bool:
    """Whether each end is that of its axis."""
    if all(end >= _TO_THE_END for end in ends):
        return True
    axes = graph.constant(node.input[3]) if len(node.input) > 3 and node.input[3] else None
    given = len(node.input) > 3 and bool(node.input[3])
    dims = graph.types().get(node.input[0], ValueType(element=0, dims=None)).dims
    if dims is None or (given and axes is None):
        return False
    chosen = range(len(ends)) if axes is None else axes
    return all(
        end >= _TO_THE_END or (isinstance(dims[axis], int) and end >= dims[axis])
        for end, axis in zip(ends, chosen, strict=True)
    )


_TESTS: dict[str, Callable[[Editing, onnx.NodeProto], bool]] = {
    "Dropout": _is_inference_dropout,
    "Slice": _is_whole,
    "Clip": _is_boundless,
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), _has_one_input),
}
