"""The layers whose weights are rounded, and the rows of numbers that each multiplies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A Conv, Gemm or MatMul with constant weights that a quantized model takes as INT8.

    `shape` is (groups, outputs of a group, n), `scale` float64 [groups, outputs of a group]: every
    output is the sum of products of a row of weights with a row of `n` inputs. `tensor` holds the
    weights in float, `stored` names the INT8 initializer, `kernel` holds a Conv's sizes.
    """

    node: Any
    stored: str
    tensor: Any
    shape: tuple[int, int, int]
    scale: Array
    kernel: tuple[int, ...]

    @property
    def name(self) -> str:
        return str(self.node.name)

    @property
    def input(self) -> str:
        return str(self.node.input[0])

    @property
    def groups(self) -> int:
        return self.shape[0]

    @property
    def inputs(self) -> int:
        """`n`."""
        return self.shape[2]

    def weights(self) -> Array:
        """float32 [groups, outputs of a group, n]; a copy, which only one layer at a time needs."""
        from onnx import numpy_helper

        held = numpy_helper.to_array(self.tensor).astype(np.float32)
        if self.node.op_type != "Conv" and not by_rows(self.node):
            held = held.T
        return held.reshape(self.shape)

    def rows(self, array: Array, most: int, generator: np.random.Generator) -> Array:
        """float32 [groups, at most `most`, n]: rows that the weights meet in this input."""
        if self.node.op_type == "Conv":
            return _conv_rows(self, array, most, generator)
        rows = array.reshape(-1, array.shape[-1])
        if rows.shape[0] > most:
            rows = rows[np.sort(generator.choice(rows.shape[0], most, replace=False))]
        return rows.astype(np.float32)[None]

    def as_stored(self, integers: Array) -> Array:
        """int8 in the shape and order of the initializer, from [groups, outputs, n]."""
        flat = integers.reshape(-1, self.inputs)
        if self.node.op_type == "Conv":
            return flat
        return flat if by_rows(self.node) else np.ascontiguousarray(flat.T)


def layers_of(prepared: onnx.ModelProto, quantized: onnx.ModelProto) -> list[Layer]:
    """Those of `quantized`, with the float weights and inputs that they have in `prepared`."""
    from onnx import numpy_helper

    floats = {one.name: one for one in prepared.graph.initializer}
    stored = {one.name: one for one in quantized.graph.initializer}
    before = {node.name: node for node in prepared.graph.node}
    dequantized = {n.output[0]: n for n in quantized.graph.node if n.op_type == "DequantizeLinear"}
    uses = Counter(name for node in quantized.graph.node for name in node.input)
    layers = []
    for node in quantized.graph.node:
        source = before.get(node.name)
        if source is None or source.op_type != node.op_type:
            continue
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weights = dequantized.get(node.input[1])
        if weights is None or source.input[1] not in floats or weights.input[0] not in stored:
            continue
        if uses[weights.input[0]] != 1 or uses[weights.output[0]] != 1 or not _is_plain(source):
            continue
        tensor = floats[source.input[1]]
        shape = _shape(source, tuple(tensor.dims))
        if shape is None:
            continue
        scale = numpy_helper.to_array(stored[weights.input[1]]).astype(np.float64)
        scale = np.broadcast_to(scale.reshape(-1), (shape[0] * shape[1],))
        layers.append(
            Layer(
                node=source,
                stored=weights.input[0],
                tensor=tensor,
                shape=shape,
                scale=scale.reshape(shape[:2]),
                kernel=tuple(tensor.dims)[2:],
            )
        )
    return layers


def attributes_of(node: Any) -> Mapping[str, Any]:
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _is_plain(node: Any) -> bool:
    attributes = attributes_of(node)
    if node.op_type == "Gemm":
        return not attributes.get("transA") and attributes.get("alpha", 1.0) == 1.0
    return attributes.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")


def by_rows(node: Any) -> bool:
    """Whether a Gemm stores an output's weights side by side."""
    return node.op_type == "Gemm" and bool(attributes_of(node).get("transB"))


def _shape(node: Any, dims: tuple[int, ...]) -> tuple[int, int, int] | None:
    if node.op_type == "Conv":
        groups = int(attributes_of(node).get("group", 1))
        return groups, dims[0] // groups, math.prod(dims[1:])
    if len(dims) != 2:
        return None
    return (1, *dims) if by_rows(node) else (1, dims[1], dims[0])


def _conv_rows(layer: Layer, array: Array, most: int, generator: np.random.Generator) -> Array:
    """Patches at random places: [groups, places, channels of a group * kernel]."""
    attributes = attributes_of(layer.node)
    rank = array.ndim - 2
    dilations = attributes.get("dilations", [1] * rank)
    strides = attributes.get("strides", [1] * rank)
    pads = attributes.get("pads", [0] * (2 * rank))
    around = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    padded = np.pad(array, around).astype(np.float32)
    spans = tuple((size - 1) * d + 1 for size, d in zip(layer.kernel, dilations, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, tuple(range(2, 2 + rank)))
    steps = [slice(None), slice(None), *(slice(None, None, s) for s in strides)]
    windows = windows[(*steps, *(slice(None, None, d) for d in dilations))]
    # [batch, channels, places..., kernel...] to [places, channels, kernel...]
    places = (windows.shape[0], *windows.shape[2 : 2 + rank])
    count = int(np.prod(places))
    chosen = np.arange(count)
    if count > most:
        chosen = np.sort(generator.choice(count, most, replace=False))
    batch, *position = np.unravel_index(chosen, places)
    picked = np.moveaxis(windows, 1, 1 + rank)[(batch, *position)]
    rows = picked.reshape(len(chosen), layer.groups, layer.inputs)
    return np.ascontiguousarray(rows.transpose(1, 0, 2))
