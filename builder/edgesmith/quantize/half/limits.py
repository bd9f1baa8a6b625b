"""What FP16 holds, and of that what a conversion may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

LARGEST = 65504.0
# A quarter of it for the calibration data: other data that are twice as large give four times as
# much where two tensors are multiplied.
LARGEST_SEEN = LARGEST / 4
# Below its smallest normal number FP16 loses a bit of precision with each halving.
SMALLEST_NORMAL = 2.0**-14
_SMALLEST = 2.0**-24
# What masks become. Two that are added to scores stay finite; the Softmax of a score less 30000
# is zero as it is of a score less the largest float.
MASK = 30000.0
# Rounding to the 11 bits of FP16 leaves 70 dB.
_LEAST_SQNR_DB = 50.0


def why_not_half(values: Array) -> str | None:
    """Why weights can't be stored in FP16; None where they can."""
    finite = np.abs(values[np.isfinite(values)].astype(np.float64))
    used = finite[finite > 0]
    if not used.size:
        return None
    if used.max() > LARGEST:
        return f"holds {used.max():.4g}, more than FP16's largest, {LARGEST:.0f}"
    if (used < _SMALLEST).mean() > 0.5:
        return f"holds little but values below {_SMALLEST:.1g}, which are zero in FP16"
    noise = float(((used - used.astype(np.float16)) ** 2).sum())
    ratio = float((used**2).sum()) / max(noise, 1e-300)
    if 10 * np.log10(ratio) < _LEAST_SQNR_DB:
        return f"holds {used.max():.1g} at most, of which FP16 has few bits"
    return None


def to_half(values: Array) -> Array:
    """Rounded to FP16; what goes beyond it is infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)
