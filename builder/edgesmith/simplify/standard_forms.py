"""Operators in the forms that ONNX Runtime has fast kernels for, in float and in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgesmith.simplify.graph import Editing, attribute

if TYPE_CHECKING:
    import onnx

# Channels and batch come first; of three axes the last may as well be a sequence's features.
_LEAST_RANK = 4
_HARD_SWISH_OPSET = 14
_CLIP_INPUTS_OPSET = 11
_RELATIVE = 1e-6
# float32 and float16: what there are kernels for.
_FLOATS = (1, 10)
_HARD_SIGMOID = {"alpha": 0.2, "beta": 0.5}


def pool_means(model: onnx.ModelProto) -> bool:
    """The mean over all places of an image is a GlobalAveragePool."""
    from onnx import helper

    graph = Editing(model)
    types = graph.types()
    for index in reversed(range(len(graph.graph.node))):
        node = graph.graph.node[index]
        source = types.get(node.input[0]) if graph.is_standard(node, "ReduceMean") else None
        if source is None or source.dims is None or len(source.dims) < _LEAST_RANK:
            continue
        if source.element not in _FLOATS:
            continue
        rank = len(source.dims)
        if sorted(axis % rank for axis in _axes(graph, node)) != list(range(2, rank)):
            continue
        if attribute(node, "keepdims") == 0:
            pooled = graph.fresh(node.output[0])
            flat = helper.make_node("Flatten", [pooled], [node.output[0]], f"{node.output[0]}/flat")
            node.output[0] = pooled
            graph.graph.node.insert(index + 1, flat)
        _become(node, "GlobalAveragePool", [node.input[0]])
        graph.changed()
    return graph.close()


def _axes(graph: Editing, node: onnx.NodeProto) -> list[int]:
    """None that are known for sure: an empty list."""
    if len(node.input) > 1:
        given = graph.constant(node.input[1])
        return [] if given is None else [int(axis) for axis in given.reshape(-1)]
    return [int(axis) for axis in attribute(node, "axes") or ()]


def name_hard_swish(model: onnx.ModelProto) -> bool:
    """What multiplies a value with a HardSigmoid of it of slope 1/6 is a HardSwish, and so is what
    writes that out: x * clip(x + 3, 0, 6) / 6."""
    graph = Editing(model)
    if graph.opset < _HARD_SWISH_OPSET:
        return False
    types = graph.types()
    for node in graph.graph.node:
        source = _hard_swish_of(graph, node)
        kind = types.get(source) if source is not None else None
        if source is not None and kind is not None and kind.element in _FLOATS:
            _become(node, "HardSwish", [source])
            graph.changed()
    return graph.close()


def _hard_swish_of(graph: Editing, node: onnx.NodeProto) -> str | None:
    """What the node's output is the HardSwish of."""
    if graph.is_standard(node, "Mul"):
        for x, gate in (tuple(node.input), tuple(node.input)[::-1]):
            if _is_gate(graph, gate, x):
                return str(x)
    factor = _scaled_by(graph, node)
    if factor is None or abs(factor[1] * 6 - 1) > _RELATIVE:
        return None
    inner = graph.producer.get(factor[0])
    if inner is None or not graph.is_standard(inner, "Mul"):
        return None
    if graph.only_user(inner.output[0]) is not node:
        return None
    for x, bounded in (tuple(inner.input), tuple(inner.input)[::-1]):
        if _is_clipped_sum(graph, bounded, x):
            return str(x)
    return None


def _is_gate(graph: Editing, gate: str, x: str) -> bool:
    """Whether it is clip(x + 3, 0, 6) / 6, as a HardSigmoid or written out."""
    node = graph.producer.get(gate)
    if node is None:
        return False
    if graph.is_standard(node, "HardSigmoid"):
        slope, offset = hard_sigmoid(node)
        is_right = abs(slope * 6 - 1) <= _RELATIVE and abs(offset - 0.5) <= _RELATIVE
        return is_right and node.input[0] == x
    factor = _scaled_by(graph, node)
    if factor is None or abs(factor[1] * 6 - 1) > _RELATIVE:
        return False
    return _is_clipped_sum(graph, factor[0], x)


def _is_clipped_sum(graph: Editing, name: str, x: str) -> bool:
    clip = graph.producer.get(name)
    if (
        clip is None
        or not graph.is_standard(clip, "Clip")
        or clip_bounds(graph, clip) != (0.0, 6.0)
    ):
        return False
    add = graph.producer.get(clip.input[0])
    if add is None or not graph.is_standard(add, "Add") or x not in add.input:
        return False
    return any(_number(graph, other) == 3.0 for other in add.input)


def _scaled_by(graph: Editing, node: onnx.NodeProto) -> tuple[str, float] | None:
    """(what, by which number) the node multiplies."""
    if graph.is_standard(node, "Div"):
        number = _number(graph, node.input[1])
        return (node.input[0], 1 / number) if number else None
    if graph.is_standard(node, "Mul"):
        for what, other in (tuple(node.input), tuple(node.input)[::-1]):
            number = _number(graph, other)
            if number is not None:
                return what, number
    return None


def _number(graph: Editing, name: str) -> float | None:
    value = graph.constant(name)
    return float(value.reshape(())) if value is not None and value.size == 1 else None


def clip_bounds(graph: Editing, clip: onnx.NodeProto) -> tuple[float | None, float | None]:
    """A Clip's least and largest value, where they are constant numbers."""
    given = [_number(graph, name) if name else None for name in clip.input[1:]]
    low, high = (*given, None, None)[:2]
    return (
        attribute(clip, "min") if low is None else low,
        attribute(clip, "max") if high is None else high,
    )


def hard_sigmoid(node: onnx.NodeProto) -> tuple[float, float]:
    """A HardSigmoid's slope and offset."""
    given = {name: attribute(node, name) for name in _HARD_SIGMOID}
    slope, offset = (_HARD_SIGMOID[n] if v is None else float(v) for n, v in given.items())
    return slope, offset


def fold_hard_sigmoid(model: onnx.ModelProto) -> bool:
    """A HardSigmoid behind a Conv that nothing else reads is a Clip behind a scaled Conv."""
    import numpy as np

    graph = Editing(model)
    if graph.opset < _CLIP_INPUTS_OPSET:
        return False
    for node in graph.graph.node:
        conv = graph.producer.get(node.input[0]) if node.op_type == "HardSigmoid" else None
        if conv is None or not graph.is_standard(conv, "Conv"):
            continue
        if len(graph.users[conv.output[0]]) > 1 or conv.output[0] in graph.outputs:
            continue
        weights = graph.constant(conv.input[1])
        bias = graph.constant(conv.input[2]) if len(conv.input) > 2 else np.float32(0)
        if weights is None or bias is None or weights.dtype != np.float32:
            continue
        slope, offset = hard_sigmoid(node)
        shifted = np.broadcast_to(bias * slope + offset, weights.shape[:1]).astype(np.float32)
        inputs = [
            conv.input[0],
            graph.add_constant((weights * np.float32(slope)).astype(np.float32), conv.input[1]),
            graph.add_constant(shifted, f"{conv.output[0]}/bias"),
        ]
        del conv.input[:]
        conv.input.extend(inputs)
        graph.forget_type(conv.output[0])
        bounds = [(np.array(v, np.float32), n) for v, n in ((0, "min"), (1, "max"))]
        clip = [graph.add_constant(v, f"{node.output[0]}/{n}") for v, n in bounds]
        _become(node, "Clip", [conv.output[0], *clip])
    return graph.close()


def add_and_multiply(model: onnx.ModelProto) -> bool:
    """What subtracts a constant adds one; what divides by a power of two multiplies.

    Other quotients would change in their last digit, which a Floor behind them could show.
    """
    import numpy as np

    graph = Editing(model)
    for node in graph.graph.node:
        if not graph.is_standard(node, "Sub", "Div"):
            continue
        value = graph.constant(node.input[1])
        if value is None or value.dtype.kind != "f" or graph.is_constant(node.input[0]):
            continue
        with np.errstate(divide="ignore", over="ignore"):
            changed = (-value if node.op_type == "Sub" else 1 / value).astype(value.dtype)
        is_exact = node.op_type == "Sub" or bool((np.abs(np.frexp(value)[0]) == 0.5).all())
        if not np.isfinite(changed).all() or not is_exact:
            continue
        other = graph.add_constant(changed, node.input[1])
        _become(node, "Add" if node.op_type == "Sub" else "Mul", [node.input[0], other])
    return graph.close()


def _become(node: onnx.NodeProto, kind: str, inputs: list[Any]) -> None:
    node.op_type = kind
    del node.input[:]
    node.input.extend(inputs)
    del node.attribute[:]
