"""The values of one tensor over the calibration data, counted in memory that does not grow.

A value is counted by the upper 16 bits of its float32, which are its bfloat16: bins that are 0.4
to 0.8 % wide whatever the tensor's magnitude. No range has to be known before, none changes on the
way, an outlier costs the others no resolution, and the order of the samples does not matter.
onnxruntime.quantization's histograms have equal widths, chosen anew at each batch, and its
calibrators keep every output of every sample until the end: 64 pictures of EfficientNet-Lite0 take
gigabytes there (`benchmarks/bench_calibration.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_BINS = 1 << 16
_SIGN = 0x8000
_NOT_FINITE = 0x7F80
# What attention masks add to scores: the lowest float, or infinity. No 8 bits hold such a tensor.
MASK_MAGNITUDE = 1e30


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """What a tensor held: its ends over all values, and how often a sample of them had which.

    `codes` is uint16 [bins], the upper halves of float32 values, and `counts` int64 [bins].
    """

    lowest: float
    highest: float
    codes: Array
    counts: Array

    @cached_property
    def ascending(self) -> tuple[Array, Array]:
        """(float64 [bins] middles of the bins that hold finite values, ascending; their counts)."""
        finite = (self.codes & _NOT_FINITE) != _NOT_FINITE
        codes, counts = self.codes[finite].astype(np.uint32), self.counts[finite]
        # A bin of zeros holds zeros: what is so small that it falls there is one too.
        middles = np.where(codes & ~np.uint32(_SIGN), codes << 16 | 0x8000, 0).astype(np.uint32)
        values = middles.view(np.float32).astype(np.float64)
        values = np.clip(values, self.lowest, self.highest)
        order = np.argsort(values, kind="stable")
        return values[order], counts[order]

    @property
    def is_constant(self) -> bool:
        return self.lowest == self.highest

    @property
    def holds_masks(self) -> bool:
        """Whether it has infinities, or numbers that stand for them."""
        return not max(abs(self.lowest), abs(self.highest)) < MASK_MAGNITUDE


class Counter:
    """Counts a tensor's values, sample by sample; 0.25 MB whatever their number below 2**32."""

    def __init__(self) -> None:
        self._lowest, self._highest = np.inf, -np.inf
        self._counts = np.zeros(_BINS, np.uint32)
        self._pending: list[Array] = []
        self._waiting = 0
        self.has_nan = False

    def add(self, lowest: float, highest: float, values: Array) -> None:
        """Takes one inference's ends, and a sample of its values as float32 [n]."""
        # fmin and fmax take the number where the other is NaN.
        self._lowest = float(np.fmin(self._lowest, lowest))
        self._highest = float(np.fmax(self._highest, highest))
        self.has_nan = self.has_nan or bool(np.isnan(lowest) or np.isnan(highest))
        self._pending.append((values.view(np.uint32) >> 16).astype(np.uint16))
        self._waiting += values.size
        if self._waiting >= _BINS:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            found = np.bincount(np.concatenate(self._pending), minlength=_BINS)
            self._counts += found.astype(np.uint32)
            self._pending, self._waiting = [], 0

    def distribution(self) -> Distribution:
        self._flush()
        codes = np.flatnonzero(self._counts).astype(np.uint16)
        nan = (codes & _NOT_FINITE == _NOT_FINITE) & (codes & 0x7F != 0)
        self.has_nan = self.has_nan or bool(nan.any())
        return Distribution(
            lowest=self._lowest,
            highest=self._highest,
            codes=codes,
            counts=self._counts[codes].astype(np.int64),
        )
