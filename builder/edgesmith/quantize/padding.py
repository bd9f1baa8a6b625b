"""Channels in the numbers that integer kernels are fast with; what is added is zero."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.simplify.graph import Editing, attribute

if TYPE_CHECKING:
    import onnx

# Operators that treat each channel by itself, and keep it where it is.
_CHANNELWISE = frozenset({
    "Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "QuickGelu",
    "MaxPool", "AveragePool", "GlobalAveragePool",
})  # fmt: skip
_RANK = 4
# Dense layers around it compute as many times more at most.
_MOST_GROWTH = 1.25
_COLOURS, _PADDED_COLOURS = 3, 4


@dataclass(kw_only=True)
class _Group:
    """Tensors of the same channels, and where weights must grow with them."""

    tensors: set[str] = field(default_factory=set)
    outputs: dict[int, Any] = field(default_factory=dict)
    inputs: dict[int, Any] = field(default_factory=dict)
    constants: set[tuple[int, int]] = field(default_factory=set)
    nodes: dict[int, Any] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def pad_depthwise(model: onnx.ModelProto, multiple: int, excluded: Collection[str] = ()) -> bool:
    """Depthwise convolutions get a multiple of `multiple` channels, and what is around them.

    ONNX Runtime's kernels for such are up to three times as fast. Nothing is done where the
    channels reach an output of the model, an operator that mixes them, or an `excluded` one.
    """
    graph = Editing(model)
    done: set[str] = set()
    changed = False
    for node in graph.graph.node:
        channels = _depthwise_channels(graph, node)
        if not channels or not channels % multiple or node.output[0] in done:
            continue
        wanted = -(-channels // multiple) * multiple
        group = _grow(graph, node, channels)
        if group is None or wanted > _MOST_GROWTH * channels or group.names & {*excluded}:
            continue
        _widen(graph, group, channels, wanted)
        done |= group.tensors
        changed = True
    return graph.close() and changed


def pad_colours(model: onnx.ModelProto, excluded: Collection[str] = ()) -> bool:
    """Convolutions of three channels that the model is fed with get a fourth; not `excluded` ones.

    The kernels for multiples of four take half the time for a stem of 16 channels.
    """
    from onnx import helper

    graph = Editing(model)
    found = [
        node
        for node in graph.graph.node
        if node.name not in excluded and _takes_colours(graph, node)
    ]
    for node in found:
        weights = graph.constant(node.input[1])
        assert weights is not None
        source, padded = node.input[0], graph.fresh(f"{node.input[0]}/padded")
        pads = np.zeros(2 * _RANK, np.int64)
        pads[_RANK + 1] = _PADDED_COLOURS - _COLOURS
        amounts = graph.add_constant(pads, f"{padded}/pads")
        pad = helper.make_node("Pad", [source, amounts], [padded], name=f"{node.name}/pad")
        graph.insert_before(node, pad)
        graph.set_input(node, 0, padded)
        wider = _padded(weights, 1, _PADDED_COLOURS)
        graph.set_input(node, 1, graph.add_constant(wider, node.input[1]))
    return graph.close() and bool(found)


def _takes_colours(graph: Editing, node: onnx.NodeProto) -> bool:
    if not graph.is_standard(node, "Conv") or (attribute(node, "group") or 1) != 1:
        return False
    weights = graph.constant(node.input[1])
    if weights is None or weights.dtype != np.float32 or weights.ndim != _RANK:
        return False
    return weights.shape[1] == _COLOURS and node.input[0] in graph.inputs


def _depthwise_channels(graph: Editing, node: onnx.NodeProto) -> int:
    """How many channels a depthwise Conv has; 0 of anything else."""
    groups = attribute(node, "group") or 1 if graph.is_standard(node, "Conv") else 1
    weights = graph.constant(node.input[1]) if groups > 1 else None
    if weights is None or weights.ndim != _RANK or weights.dtype != np.float32:
        return 0
    return int(groups) if weights.shape[:2] == (groups, 1) else 0


def _grow(graph: Editing, first: onnx.NodeProto, channels: int) -> _Group | None:
    """All that shares the channels; None where they can't grow."""
    group = _Group()
    waiting = [first.input[0], first.output[0]]
    while waiting:
        name = waiting.pop()
        if name in group.tensors:
            continue
        group.tensors.add(name)
        maker = graph.producer.get(name)
        if maker is None or name in graph.outputs or not _has_channels(graph, name, channels):
            return None
        for node in [maker, *graph.users.get(name, [])]:
            group.names.add(node.name)
            reached = _reached(graph, node, name, channels, group)
            if reached is None:
                return None
            waiting += reached
    return group


def _has_channels(graph: Editing, name: str, channels: int) -> bool:
    found = graph.types().get(name)
    dims = None if found is None else found.dims
    return dims is not None and len(dims) == _RANK and dims[1] == channels


def _reached(
    graph: Editing, node: Any, name: str, channels: int, group: _Group
) -> Iterable[str] | None:
    """The tensors that grow with `name`, which the node makes or takes; None where it must not."""
    if graph.is_standard(node, "Conv"):
        if any(graph.constant(one) is None for one in node.input[1:]):
            return None
        if _depthwise_channels(graph, node) == channels:
            group.nodes[id(node)] = node
            return [node.input[0], node.output[0]]
        if (attribute(node, "group") or 1) != 1:
            return None
        if name == node.output[0]:
            group.outputs[id(node)] = node
        if name == node.input[0]:
            group.inputs[id(node)] = node
        return []
    if node.op_type not in _CHANNELWISE or len(node.output) != 1:
        return None
    reached = [node.output[0]]
    for index, one in enumerate(node.input):
        value = graph.constant(one) if one else None
        if value is None and one:
            reached.append(one)
        elif value is not None and value.size > 1:
            if value.ndim < _RANK - 1 or value.shape[-3] not in (1, channels):
                return None
            if value.shape[-3] == channels:
                group.constants.add((id(node), index))
                group.nodes[id(node)] = node
    return reached


def _widen(graph: Editing, group: _Group, channels: int, wanted: int) -> None:
    from onnx import helper

    for node in group.outputs.values():
        _replace(graph, node, 1, 0, wanted)
        if len(node.input) > 2:
            _replace(graph, node, 2, 0, wanted)
    for node in group.inputs.values():
        _replace(graph, node, 1, 1, wanted)
    for node in group.nodes.values():
        if node.op_type == "Conv":
            _replace(graph, node, 1, 0, wanted)
            if len(node.input) > 2:
                _replace(graph, node, 2, 0, wanted)
            for one in node.attribute:
                if one.name == "group":
                    one.CopyFrom(helper.make_attribute("group", wanted))
        for index in range(len(node.input)):
            if (id(node), index) in group.constants:
                _replace(graph, node, index, -3, wanted)
    for value in graph.graph.value_info:
        if value.name in group.tensors:
            value.type.tensor_type.shape.dim[1].dim_value = wanted


def _replace(graph: Editing, node: Any, index: int, axis: int, wanted: int) -> None:
    value = graph.constant(node.input[index])
    assert value is not None
    name = graph.add_constant(_padded(value, axis, wanted), node.input[index])
    graph.set_input(node, index, name)


def _padded(value: Any, axis: int, wanted: int) -> Any:
    around = [(0, 0)] * value.ndim
    around[axis] = (0, wanted - value.shape[axis])
    return np.pad(value, around)
