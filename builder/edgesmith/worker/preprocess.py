"""What an input gets before the model, in numpy: the definition that the graph is checked against.

An input's preprocessing travels as plain JSON: {"dtype", "permutation" or null, "scale", "mean",
"std", "to"}, where `permutation` brings the fed axes into the model's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def apply(array: Array, steps: Mapping[str, Any] | None) -> Array:
    """`(array * scale - mean) / std` in the model's layout and dtype; without steps the array."""
    if steps is None:
        return array
    permutation = steps["permutation"]
    moved = array if permutation is None else array.transpose(permutation)
    value = moved.astype(np.float32) * np.float32(steps["scale"])
    value = (value - _along_channels(steps["mean"], value)) / _along_channels(steps["std"], value)
    prepared: Array = np.ascontiguousarray(value.astype(np.dtype(steps["to"])))
    return prepared


def _along_channels(numbers: list[float], array: Array) -> Array:
    """One number, or one for each channel: the channels are the third axis from the end."""
    values = np.asarray(numbers, np.float32)
    return values.reshape(()) if len(numbers) == 1 else values.reshape(-1, 1, 1)
