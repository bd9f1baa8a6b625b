"""Intervals of shares as the harness takes them: see runtime_cpp/src/proportion.cpp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Interval = tuple[float, float]

# The 97.5 % quantile of the standard normal distribution.
Z = 1.959963984540054
# From so many degrees of freedom on the expansion of Student's t is exact to the last digits.
_MANY = 400
_NODES = 120


def share_interval(hits: Array, groups: Array | None = None) -> Interval | None:
    """Wilson's 95 % interval of the share of ones in `hits` (0 or 1, shape [samples]).

    With groups at the number of independent samples that would vary as the groups do (Korn and
    Graubard, 1998); None for a single group.
    """
    share = float(np.mean(hits))
    count = _effective_count(hits, groups, share * (1 - share))
    if count is None:
        return None
    denominator = 1 + Z * Z / count
    center = (share + Z * Z / (2 * count)) / denominator
    root = math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    half = Z * root / denominator
    low, high = max(0.0, center - half), min(1.0, center + half)
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)


def difference_interval(
    first: Array, second: Array, groups: Array | None = None
) -> Interval | None:
    """Tango's 95 % score interval (1998) of the share of ones in `first` minus that in `second`.

    Both are 0 or 1, shape [samples], of the same samples. It has a width also where no sample
    differs. None for a single group.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    mean = float(difference.mean())
    variance = float((difference != 0).mean()) - mean * mean
    count = _effective_count(difference, groups, variance)
    if count is None:
        return None
    scale = count / len(difference)
    pairs = _Pairs(
        only_first=float((difference > 0).sum()) * scale,
        only_second=float((difference < 0).sum()) * scale,
        count=count,
    )
    low = -1.0 if mean == -1 else pairs.crossing(-1.0, mean, Z)
    high = 1.0 if mean == 1 else pairs.crossing(mean, 1.0, -Z)
    return low, high


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Counts of pairs, which may be effective numbers that are not whole."""

    only_first: float
    only_second: float
    count: float

    def score(self, difference: float) -> float:
        """How many standard errors the difference found lies above `difference`."""
        a = 2 * self.count
        b = -self.only_first - self.only_second
        b += (a - self.only_first + self.only_second) * difference
        c = -self.only_second * difference * (1 - difference)
        root = math.sqrt(max(0.0, b * b - 4 * a * c))
        share = -2 * c / (b + root) if b > 0 else (root - b) / (2 * a)
        variance = self.count * max(0.0, 2 * share + difference * (1 - difference))
        excess = self.only_first - self.only_second - self.count * difference
        return excess / math.sqrt(max(variance, np.finfo(np.float64).tiny))

    def crossing(self, low: float, high: float, quantile: float) -> float:
        """Where the score, which falls with the difference, crosses `quantile`."""
        for _ in range(200):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            if self.score(middle) > quantile:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def _effective_count(values: Array, groups: Array | None, variance: float) -> float | None:
    """The number of independent samples that would give the mean the variance found between groups.

    `variance` is that of one sample; without any each group counts once. None for a single group.
    """
    total = len(values)
    if groups is None:
        return float(total)
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=values - float(np.mean(values)))
    count = len(sums)
    if count < 2:
        return None
    if variance <= 0:
        return float(count)
    between = count / (count - 1) * float(np.square(sums).sum()) / total**2
    if between == 0:
        return float(total)
    ratio = student_t_quantile(total - 1) / student_t_quantile(count - 1)
    return float(min(total, variance / between * ratio**2))


def student_t_quantile(degrees_of_freedom: int) -> float:
    """The 97.5 % quantile of Student's t."""
    v = float(degrees_of_freedom)
    if v >= _MANY:
        return _expanded_quantile(v)
    # With t = sqrt(v) tan(angle) the density is a power of the cosine.
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)

    def area(angle: float) -> float:
        return float(angle / 2 * (weights * np.cos(angle / 2 * (nodes + 1)) ** (v - 1)).sum())

    wanted = 0.95 * area(math.pi / 2)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if area(middle) < wanted else (low, middle)
    return math.sqrt(v) * math.tan((low + high) / 2)


def _expanded_quantile(v: float) -> float:
    """Cornish and Fisher's expansion (Hill, 1970)."""
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return Z + sum(term / v**power for power, term in enumerate(terms, start=1))
