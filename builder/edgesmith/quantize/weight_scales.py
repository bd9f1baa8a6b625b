"""The scale of each output channel's weights: the one that costs its outputs least."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.quantize.rounding.layers import by_rows
from edgesmith.quantize.rounding.pairs import is_depthwise, mates_of, secured

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

# In magnitude: -128 is left out, so that weights are symmetric.
LARGEST_WEIGHT = 127
_KINDS = ("Conv", "Gemm", "MatMul")
# Of the scale by which the largest weight is the largest integer: below it weights are clipped,
# above it pairs are less often.
_CLIPPING = np.linspace(0.84, 1.0, 5)
_LOOSER = np.array([1.15, 1.3, 1.45, 1.6, 1.8, 2.0])
# Numbers of float32 in one array.
_AT_ONCE = 4_000_000
# Second moment about the mean, and squared mean, of what a layer takes: those of a normally
# distributed value behind a Relu. Errors of one sign add up by the mean.
_SPREAD, _MEAN = 0.34, 0.16


def weight_overrides(
    model: onnx.ModelProto, in_integers: Collection[str], *, pairs: bool, largest: int
) -> dict[str, list[dict[str, Any]]]:
    """Scales for the constant weights of Conv, Gemm and MatMul `in_integers`, in the form
    of onnxruntime.quantization's TensorQuantOverrides, which knows no search for them."""
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantType

    stored = {one.name: one for one in model.graph.initializer}
    found: dict[str, list[dict[str, Any]]] = {}
    for node in model.graph.node:
        if (
            node.op_type not in _KINDS
            or node.name not in in_integers
            or node.input[1] not in stored
        ):
            continue
        tensor, axis = stored[node.input[1]], channel_axis(node)
        if len(tensor.dims) < 2 or tensor.name in found:
            continue
        weights = numpy_helper.to_array(tensor)
        least = np.finfo(weights.dtype).tiny
        scales = np.maximum(_scales(node, weights, axis, pairs, largest), least).astype(
            weights.dtype
        )
        zero = np.array(0, np.int8)
        found[tensor.name] = [
            {"axis": axis, "quant_type": QuantType.QInt8, "scale": np.array(s), "zero_point": zero}
            for s in scales
        ]
    return found


def channel_axis(node: Any) -> int:
    """That of the output channels in the weights of a Conv, Gemm or MatMul."""
    if node.op_type == "Conv":
        return 0
    return 0 if by_rows(node) else 1


def _scales(node: Any, weights: Array, axis: int, pairs: bool, largest: int) -> Array:
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    if not pairs:
        return best_scales(rows, largest=largest)
    depthwise = is_depthwise(node, weights.shape)
    mates = mates_of(rows.shape[1], weights.shape[2:], is_depthwise=depthwise)
    return best_scales(rows, mates, largest=largest)


def best_scales(rows: Array, mates: Array | None = None, *, largest: int = LARGEST_WEIGHT) -> Array:
    """float64 [outputs] for `rows` [outputs, n], whose integers are to be within `largest`, and
    whose pairs, where `mates` [n] are given, within what pairs.py says.

    The error of the outputs counts, of inputs spread as behind a Relu.
    """
    at_once = max(1, _AT_ONCE // max(1, rows.shape[1]))
    parts = [
        _best_of(rows[first : first + at_once].astype(np.float32), mates, largest)
        for first in range(0, len(rows), at_once)
    ]
    found = np.concatenate([*parts, np.empty(0)])
    # Rows of zeros have no scale of their own, but biases, whose steps follow from it.
    others = float(found.max(initial=0.0)) or 1 / largest
    return np.where(found > 0, found, others)


def _best_of(rows: Array, mates: Array | None, largest: int) -> Array:
    """The scale of each row, zero for rows of zeros."""
    whole = np.abs(rows).max(axis=1, initial=0.0).astype(np.float64) / largest
    best, least = whole, np.full(len(rows), np.inf)
    for factor in _CLIPPING if mates is None else np.concatenate([_CLIPPING, _LOOSER]):
        steps = np.where(whole > 0, whole * factor, 1.0).astype(np.float32)[:, None]
        integers = np.clip(np.rint(rows / steps), -largest, largest)
        if mates is not None:
            integers = secured(integers, mates)
        error = integers * steps - rows
        cost = _SPREAD * np.einsum("ij,ij->i", error, error, dtype=np.float64)
        cost += _MEAN * error.sum(axis=1, dtype=np.float64) ** 2
        best = np.where(cost < least, whole * factor, best)
        least = np.minimum(cost, least)
    return np.where(whole > 0, best, 0.0)
