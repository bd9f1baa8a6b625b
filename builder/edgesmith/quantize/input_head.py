"""The preprocessing at a graph's head under quantization: kept in float, or folded into integers.

What a camera gives is quantized already. Where the preprocessing is `(x - zero point) * scale` with
one scale and a whole zero point, the fed integers are the first layer's quantized input as they
stand: no conversion to float, no rounding. Other preprocessing stays in float, unquantized.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.simplify.graph import used_by

if TYPE_CHECKING:
    import onnx

_STEPS = ("Transpose", "Cast", "Mul", "Add")
_BYTES = {2: np.uint8, 3: np.int8}
# In units of the input's step; rounding it anew would cost up to half a step.
MAX_ERROR_STEPS = 1e-3


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """Lookups of a graph: who consumes a tensor, and the constants."""

    consumers: dict[str, list[Any]]
    constants: dict[str, Any]
    outputs: set[str]

    @staticmethod
    def of(model: onnx.ModelProto) -> _Graph:
        consumers: dict[str, list[Any]] = defaultdict(list)
        for node in model.graph.node:
            for name in used_by(node):
                consumers[name].append(node)
        return _Graph(
            consumers=consumers,
            constants={one.name: one for one in model.graph.initializer},
            outputs={one.name for one in model.graph.output},
        )

    def only_consumer(self, name: str) -> Any | None:
        found = self.consumers[name]
        return found[0] if len(found) == 1 and name not in self.outputs else None


def head_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes between each integer input and the first node that computes."""
    graph = _Graph.of(model)
    return [node for info in model.graph.input for node in _chain(graph, info)]


def _chain(graph: _Graph, info: Any) -> list[Any]:
    if info.type.tensor_type.elem_type not in _BYTES:
        return []
    nodes: list[Any] = []
    name = info.name
    while (node := graph.only_consumer(name)) is not None and node.op_type in _STEPS:
        if any(other not in graph.constants for other in node.input if other != name):
            break
        nodes.append(node)
        name = node.output[0]
    # A chain that never becomes float is part of the model, not preprocessing.
    return nodes if any(node.op_type == "Cast" for node in nodes) else []


def feed_integers(model: onnx.ModelProto) -> int:
    """Folds each head that allows it into its DequantizeLinear, in place; returns how many."""
    graph = _Graph.of(model)
    return sum(_fold(model, graph, info) for info in model.graph.input)


def _fold(model: onnx.ModelProto, graph: _Graph, info: Any) -> bool:
    from onnx import numpy_helper

    chain = _chain(graph, info)
    quantize = graph.only_consumer(chain[-1].output[0]) if chain else None
    if quantize is None or quantize.op_type != "QuantizeLinear":
        return False
    dtype = _BYTES[info.type.tensor_type.elem_type]
    zero = graph.constants.get(quantize.input[2]) if len(quantize.input) > 2 else None
    if zero is None or numpy_helper.to_array(zero).dtype != dtype:
        return False
    affine = _affine(graph, chain, dtype)
    dequantizers = graph.consumers[quantize.output[0]]
    if affine is None or any(node.op_type != "DequantizeLinear" for node in dequantizers):
        return False
    scale_name, zero_name = f"{info.name}_fed_scale", f"{info.name}_fed_zero_point"
    if {scale_name, zero_name} & (graph.constants.keys() | graph.consumers.keys()):
        return False
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(affine[0]), scale_name))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(affine[1]), zero_name))
    moved = [node for node in chain if node.op_type == "Transpose"]
    fed = info.name
    for node in moved:
        node.input[0], fed = fed, node.output[0]
    for node in dequantizers:
        node.input[0], node.input[1], node.input[2] = fed, scale_name, zero_name
    for node in (*(n for n in chain if n.op_type != "Transpose"), quantize):
        model.graph.node.remove(node)
    _drop_unused_constants(model)
    return True


def _drop_unused_constants(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in used_by(node)}
    used |= {output.name for output in model.graph.output}
    for one in [one for one in model.graph.initializer if one.name not in used]:
        model.graph.initializer.remove(one)


def _affine(graph: _Graph, chain: list[Any], dtype: Any) -> tuple[np.float32, Any] | None:
    """(scale, zero point) of a chain that equals them on every value of `dtype`, else None."""
    from onnx import numpy_helper

    values = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1)
    result = values.astype(np.float32)
    for node in chain:
        constants = [numpy_helper.to_array(graph.constants[n]) for n in node.input[1:]]
        if node.op_type in ("Mul", "Add"):
            if constants[0].size != 1:
                return None
            number = np.float32(constants[0].reshape(()))
            result = result * number if node.op_type == "Mul" else result + number
        elif node.op_type == "Cast" and node.attribute[0].i != 1:
            return None
    scale = np.float32((float(result[-1]) - float(result[0])) / (len(values) - 1))
    if not scale > 0 or not np.isfinite(result).all():
        return None
    zero = round(float(values[0]) - float(result[0]) / float(scale))
    if not values[0] <= zero <= values[-1]:
        return None
    error = np.abs((values - zero) * np.float64(scale) - result).max()
    return (scale, dtype(zero)) if error <= MAX_ERROR_STEPS * scale else None
