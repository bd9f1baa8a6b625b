"""Rounds rows of weights one column at a time; what is lost, later columns make good.

Frantar, Ashkboos, Hoefler, Alistarh: GPTQ, accurate post-training quantization for generative
pre-trained transformers, 2022 (arXiv 2210.17323), there for 3 and 4 bits. The error that counts is
that of the layer's outputs on the calibration data, which the inputs' second moments tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Of the mean second moment, added to all: what was seen of the inputs is not all there is.
_DAMPING = 0.01
_BLOCK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded:
    """`integers` are int8 [groups, outputs, n]. The errors are those of the layer's outputs, sums
    of squares over what was seen, with each weight at its nearest integer and as chosen."""

    integers: Array
    nearest_error: float
    error: float
    signal: float


def rounded(weights: Array, scale: Array, moments: Array, limit: int) -> Rounded:
    """Integers within [-limit, limit] for `weights` [groups, outputs, n] by `scale` [groups,
    outputs]; `moments` [groups, n, n] are the sums of products of the inputs.

    A row stays at its nearest integers where those are better, and all do where the inputs are of
    sizes that can't be computed with.
    """
    steps = np.maximum(scale, np.finfo(np.float32).tiny)[..., None]
    nearest = np.clip(np.rint(weights / steps), -limit, limit)
    plain = _errors(nearest * steps - weights, moments)
    try:
        chosen = _columns(weights, steps, moments, limit)
    except np.linalg.LinAlgError:
        chosen = nearest
    better = _errors(chosen * steps - weights, moments)
    keep = (better < plain)[..., None]
    return Rounded(
        integers=np.where(keep, chosen, nearest).astype(np.int8),
        nearest_error=float(plain.sum()),
        error=float(np.minimum(better, plain).sum()),
        signal=float(_errors(weights, moments).sum()),
    )


def _errors(difference: Array, moments: Array) -> Array:
    """What a difference of the weights makes of the outputs: [groups, outputs]."""
    found = ((difference @ moments) * difference).sum(axis=-1)
    return np.asarray(np.maximum(found, 0.0))


def _columns(weights: Array, steps: Array, moments: Array, limit: int) -> Array:
    """The columns with the largest inputs first, since nothing can make good for the last."""
    diagonal = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-diagonal, axis=1, kind="stable")
    back = np.argsort(order, axis=1, kind="stable")
    remaining = np.take_along_axis(weights, order[:, None, :], axis=2)
    factor = _factor(moments, order)
    chosen = np.empty_like(remaining)
    count = remaining.shape[2]
    for start in range(0, count, _BLOCK):
        end = min(start + _BLOCK, count)
        lost = np.empty((*remaining.shape[:2], end - start))
        for column in range(start, end):
            exact = remaining[:, :, column] / steps[:, :, 0]
            chosen[:, :, column] = np.clip(np.rint(exact), -limit, limit)
            error = (exact - chosen[:, :, column]) * steps[:, :, 0]
            error /= factor[:, column, column, None]
            lost[:, :, column - start] = error
            remaining[:, :, column + 1 : end] -= (
                error[:, :, None] * factor[:, None, column, column + 1 : end]
            )
        remaining[:, :, end:] -= lost @ factor[:, start:end, end:]
    return np.take_along_axis(chosen, back[:, None, :], axis=2)


def _factor(moments: Array, order: Array) -> Array:
    """The upper Cholesky factor of the inverse of the damped moments, in that order."""
    ordered = np.take_along_axis(moments, order[:, :, None], axis=1)
    ordered = np.take_along_axis(ordered, order[:, None, :], axis=2)
    index = np.arange(ordered.shape[1])
    diagonal = ordered[:, index, index]
    mean = diagonal.mean(axis=1, keepdims=True)
    # An input that is always zero leaves its weights to their nearest integers.
    ordered[:, index, index] = diagonal + np.where(mean > 0, _DAMPING * mean, 1.0)
    return np.asarray(np.linalg.cholesky(np.linalg.inv(ordered)).swapaxes(1, 2))
