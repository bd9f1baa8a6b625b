"""Pairs of weights whose products a CPU without VNNI adds in 16 bits, which saturate.

VPMADDUBSW multiplies two unsigned activations that lie side by side with their signed weights and
adds both products in 16 bits. With activations of up to 255 the sum fits if weights of the same
sign add up to 128 at most: 255 * 128 = 32640. So one weight may well be 127.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.quantize.rounding.layers import by_rows

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

MOST = 128
_IMAGE = 2


def mates_of(inputs: int, kernel: tuple[int, ...] = (), *, is_depthwise: bool = False) -> Array:
    """int64 [inputs]: which other input of a row each is paired with, itself if none.

    Rows of a Conv hold the places of its `kernel` for each channel; ONNX Runtime's kernels go over
    the channels for each place. Those for depthwise convolutions of images add in 32 bits.
    """
    if is_depthwise and len(kernel) == _IMAGE:
        return np.arange(inputs)
    taps = math.prod(kernel)
    held = np.arange(inputs).reshape(inputs // taps, taps)
    order = held.T.reshape(-1)
    even = inputs - inputs % 2
    mates = np.arange(inputs)
    mates[order[0:even:2]], mates[order[1:even:2]] = order[1:even:2], order[0:even:2]
    return mates


def is_depthwise(node: Any, shape: tuple[int, ...]) -> bool:
    """Whether a Conv with weights of this shape has one channel in and out for each group."""
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    return bool(node.op_type in ("Conv", "ConvInteger") and shape[:2] == (groups, 1))


def secured(integers: Array, mates: Array) -> Array:
    """Pairs whose sum is too large share what is too much; [..., n] as given."""
    found = integers.astype(np.float32)
    own = np.arange(mates.size)
    first = own[mates > own]
    second = mates[first]
    for sign in (1.0, -1.0):
        one, other = (np.maximum(sign * found[..., part], 0.0) for part in (first, second))
        excess = np.maximum(one + other - MOST, 0.0)
        found[..., first] -= sign * np.ceil(excess / 2)
        found[..., second] -= sign * np.floor(excess / 2)
    return found.astype(integers.dtype)


def bounds(exact: Array, mate: Array, is_chosen: Array, limit: int) -> tuple[Array, Array]:
    """(lowest, highest) integers for weights of `exact` steps, whose mates have or want `mate`.

    Where the mate `is_chosen`, what is left; else what is too much is shared.
    """
    ends = []
    for sign in (1.0, -1.0):
        want = np.clip(sign * exact, 0.0, limit)
        other = np.clip(sign * mate, 0.0, limit)
        shared = np.floor(want - np.maximum(want + other - MOST, 0.0) / 2)
        free = np.where(want + other > MOST, shared, limit)
        ends.append(np.minimum(np.where(is_chosen, MOST - other, free), limit))
    return -ends[1], ends[0]


def secure(model: onnx.ModelProto) -> None:
    """Makes the pairs of all INT8 weights of Conv, Gemm and MatMul fit, in place."""
    from onnx import numpy_helper

    stored = {one.name: one for one in model.graph.initializer}
    held = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul", "MatMulInteger", "ConvInteger"):
            continue
        tensor = stored.get(held.get(node.input[1], node.input[1]))
        if tensor is None or tensor.data_type != tensor.INT8 or len(tensor.dims) < 2:
            continue
        integers = numpy_helper.to_array(tensor)
        changed = _secured_as_stored(node, integers)
        if not np.array_equal(changed, integers):
            tensor.ClearField("int32_data")
            tensor.raw_data = np.ascontiguousarray(changed).tobytes()


def _secured_as_stored(node: Any, integers: Array) -> Array:
    if node.op_type in ("Conv", "ConvInteger"):
        kernel = integers.shape[2:]
        depthwise = is_depthwise(node, integers.shape)
        mates = mates_of(math.prod(integers.shape[1:]), kernel, is_depthwise=depthwise)
        return secured(integers.reshape(integers.shape[0], -1), mates).reshape(integers.shape)
    rows = integers if by_rows(node) else integers.swapaxes(-1, -2)
    rows = secured(rows, mates_of(rows.shape[-1]))
    return rows if by_rows(node) else rows.swapaxes(-1, -2)
