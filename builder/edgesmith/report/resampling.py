"""Bootstrap intervals as the harness takes them: generator, seed and order are the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SEED = 20250101
REPLICATES = 1000
# Draws that are held in memory at once.
_BLOCK = 1 << 22


def mean_interval(values: Array, groups: Array | None = None) -> tuple[float, float] | None:
    """95 % interval of the mean by resampling samples, or whole groups where there are any.

    None for a single group, and where all means are alike. `values` are finite.
    """
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    else:
        _, index = np.unique(groups, return_inverse=True)
        sums, sizes = np.bincount(index, weights=values), np.bincount(index).astype(np.float64)
        if len(sums) < 2:
            return None
    rows = max(1, _BLOCK // len(sums))
    means = []
    for first in range(0, REPLICATES, rows):
        count = min(rows, REPLICATES - first)
        drawn = _draws(len(sums), first * len(sums), count * len(sums)).reshape(count, -1)
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    ordered = np.sort(np.concatenate(means))
    first, last = (math.floor(share * (REPLICATES - 1) + 0.5) for share in (0.025, 0.975))
    if ordered[0] == ordered[-1]:
        return None
    return float(ordered[first]), float(ordered[last])


def _draws(bound: int, first: int, count: int) -> Array:
    """Numbers below `bound`: those of runtime_cpp/src/random.hpp, from the one at `first` on."""
    steps = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = np.uint64(SEED) + steps * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (((mixed >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)
