"""Rounds rows of weights one column at a time; what is lost, later columns make good.

Frantar, Ashkboos, Hoefler, Alistarh: GPTQ, accurate post-training quantization for generative
pre-trained transformers, 2022 (arXiv 2210.17323), there for 3 and 4 bits. The error that counts is
that of the layer's outputs on the calibration data, which the inputs' second moments tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesmith.quantize.rounding.pairs import bounds, secured

Array = np.ndarray[Any, Any]

# Of the mean second moment, added to all: what was seen of the inputs is not all there is.
_DAMPING = 0.01
_BLOCK = 64
# Numbers of float64 in one array.
_AT_ONCE = 6_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded:
    """`integers` are int8 [groups, outputs, n]. The errors are those of the layer's outputs, sums
    of squares over what was seen, with each weight at its nearest integer and as chosen."""

    integers: Array
    nearest_error: float
    error: float
    signal: float


def rounded(
    weights: Array, scale: Array, moments: Array, limit: int, mates: Array | None = None
) -> Rounded:
    """Integers within [-limit, limit] for `weights` [groups, outputs, n] by `scale` [groups,
    outputs]; `moments` [groups, n, n] are the sums of products of the inputs.

    With `mates`, int64 [groups, n], the sums of pairs stay within what pairs.py says.

    A row stays at its nearest integers where those are better, and all do where the inputs are of
    sizes that can't be computed with. Beside the arguments and the result it takes some 200 MB.
    """
    integers = np.empty(weights.shape, np.int8)
    sums = np.zeros(3)
    groups, outputs, inputs = weights.shape
    at_once = max(1, _AT_ONCE // (inputs * inputs))
    for first in range(0, groups, at_once):
        part = slice(first, first + at_once)
        held = np.asarray(moments[part], np.float32)
        factor, order = _factor(held.astype(np.float64))
        rows = max(1, _AT_ONCE // (held.shape[0] * inputs))
        for row in range(0, outputs, rows):
            some = (part, slice(row, row + rows))
            integers[some], errors = _solved(
                weights[some].astype(np.float64), scale[some], held, factor, order, limit,
                None if mates is None else mates[part],
            )  # fmt: skip
            sums += errors
    return Rounded(integers=integers, nearest_error=sums[0], error=sums[1], signal=float(sums[2]))


def _solved(
    weights: Array,
    scale: Array,
    moments: Array,
    factor: Array | None,
    order: Array,
    limit: int,
    mates: Array | None,
) -> tuple[Array, Array]:
    """(integers, errors of the nearest and of these and the signal) of some rows."""
    steps = np.maximum(scale, np.finfo(np.float32).tiny)[..., None]
    nearest = np.clip(np.rint(weights / steps), -limit, limit)
    if mates is not None:
        nearest = np.stack([secured(*one) for one in zip(nearest, mates, strict=True)])
    plain = _errors(nearest * steps - weights, moments)
    chosen = nearest
    if factor is not None:
        chosen = _columns(weights, steps, factor, order, limit, mates)
    better = _errors(chosen * steps - weights, moments)
    kept = np.where((better < plain)[..., None], chosen, nearest)
    signal = _errors(weights, moments)
    told = [plain.sum(), np.minimum(better, plain).sum(), signal.sum()]
    return kept.astype(np.int8), np.array(told)


def _errors(difference: Array, moments: Array) -> Array:
    """What a difference of the weights makes of the outputs: float64 [groups, outputs].

    In float32, which is exact enough to compare by, at half the time.
    """
    single = difference.astype(np.float32)
    found = ((single @ moments) * single).sum(axis=-1, dtype=np.float64)
    return np.asarray(np.maximum(found, 0.0))


def _columns(
    weights: Array,
    steps: Array,
    factor: Array,
    order: Array,
    limit: int,
    mates: Array | None,
) -> Array:
    """Column by column in the order given; what is lost moves into those that are left."""
    back = np.argsort(order, axis=1, kind="stable")
    # Where the mate of each column is, in this order.
    paired = None
    if mates is not None:
        paired = np.take_along_axis(back, np.take_along_axis(mates, order, axis=1), axis=1)
    remaining = np.take_along_axis(weights, order[:, None, :], axis=2)
    chosen = np.zeros_like(remaining)
    count = remaining.shape[2]
    for start in range(0, count, _BLOCK):
        end = min(start + _BLOCK, count)
        lost = np.empty((*remaining.shape[:2], end - start))
        for column in range(start, end):
            exact = remaining[:, :, column] / steps[:, :, 0]
            low: Array | int = -limit
            high: Array | int = limit
            if paired is not None:
                mate, is_chosen = _mates_at(column, paired[:, column], chosen, remaining, steps)
                low, high = bounds(exact, mate, is_chosen, limit)
            chosen[:, :, column] = np.clip(np.rint(exact), low, high)
            error = (exact - chosen[:, :, column]) * steps[:, :, 0]
            error /= factor[:, column, column, None]
            lost[:, :, column - start] = error
            remaining[:, :, column + 1 : end] -= (
                error[:, :, None] * factor[:, None, column, column + 1 : end]
            )
        remaining[:, :, end:] -= lost @ factor[:, start:end, end:]
    return np.take_along_axis(chosen, back[:, None, :], axis=2)


def _mates_at(
    column: int, places: Array, chosen: Array, remaining: Array, steps: Array
) -> tuple[Array, Array]:
    """([groups, outputs], [groups, 1]): integers of the mates of a column's weights, which are at
    `places`, or their wishes where they are not chosen yet; zero where there is no mate."""
    at = np.broadcast_to(places[:, None, None], (*chosen.shape[:2], 1))
    fixed = np.take_along_axis(chosen, at, axis=2)[:, :, 0]
    wanted = np.take_along_axis(remaining, at, axis=2)[:, :, 0] / steps[:, :, 0]
    mate = np.where((places < column)[:, None], fixed, wanted)
    return np.where((places == column)[:, None], 0.0, mate), (places <= column)[:, None]


def _factor(moments: Array) -> tuple[Array | None, Array]:
    """(the upper Cholesky factor of the inverse of the damped moments, the order of its columns).

    Those with the largest inputs come first, since nothing can make good for the last. None where
    there is no inverse.
    """
    diagonal = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-diagonal, axis=1, kind="stable")
    ordered = np.take_along_axis(moments, order[:, :, None], axis=1)
    ordered = np.take_along_axis(ordered, order[:, None, :], axis=2)
    index = np.arange(ordered.shape[1])
    diagonal = ordered[:, index, index]
    mean = diagonal.mean(axis=1, keepdims=True)
    # An input that is always zero leaves its weights to their nearest integers.
    ordered[:, index, index] = diagonal + np.where(mean > 0, _DAMPING * mean, 1.0)
    try:
        factor = np.linalg.cholesky(np.linalg.inv(ordered)).swapaxes(1, 2)
    except np.linalg.LinAlgError:
        return None, order
    return np.ascontiguousarray(factor), order
