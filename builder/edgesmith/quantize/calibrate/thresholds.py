"""From what a tensor held to the range that its 256 steps cover, by one of four methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgesmith.quantize.calibrate.distribution import Distribution

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

LEVELS = 256
PERCENTILE = 99.999
# Of entropy: equal bins up to the largest magnitude, and how many thresholds are tried.
_BINS = 2048
_LEAST_BINS = 128
_STEP_BINS = 16
# Of mse: how many may become an end, on each side, of those close to the extreme and below.
_CLOSE, _CANDIDATES_CLOSE, _CANDIDATES_BELOW = 1 / 16, 128, 64


def range_of(distribution: Distribution, method: str) -> Range:
    """The range by `minmax`, `percentile`, `entropy` or `mse`; zero is in it, so that it is exact.

    A constant tensor's range is from zero to it, whatever the method.
    """
    low, high = METHODS[method](distribution)
    # What was sampled may miss the ends by a bin's width.
    low, high = max(low, distribution.lowest), min(high, distribution.highest)
    return min(low, 0.0), max(high, 0.0)


def _minmax(distribution: Distribution) -> Range:
    return distribution.lowest, distribution.highest


def _percentile(distribution: Distribution) -> Range:
    """Equal shares left out on both sides, together what PERCENTILE leaves of all values."""
    values, counts = distribution.ascending
    if not counts.size:
        return distribution.lowest, distribution.highest
    share = np.cumsum(counts) / counts.sum()
    outside = (1 - PERCENTILE / 100) / 2
    low = values[int(np.searchsorted(share, outside, side="right"))]
    high = values[min(int(np.searchsorted(share, 1 - outside)), values.size - 1)]
    return float(low), float(high)


def _entropy(distribution: Distribution) -> Range:
    """The threshold on magnitudes with the least Kullback-Leibler divergence between what the
    tensor held and what its quantized form tells of it.

    Migacz, 8-bit inference with TensorRT, GTC 2017. Zeros are exact and do not count.
    """
    values, counts = distribution.ascending
    magnitudes = np.abs(values)
    largest = float(magnitudes.max(initial=0.0))
    if largest == 0.0:
        return distribution.lowest, distribution.highest
    used = magnitudes > 0
    histogram, edges = np.histogram(
        magnitudes[used], bins=_BINS, range=(0.0, largest), weights=counts[used].astype(np.float64)
    )
    steps = LEVELS // 2 if distribution.lowest < 0 < distribution.highest else LEVELS
    tried = range(max(_LEAST_BINS, steps // 2), _BINS + 1, _STEP_BINS)
    best = min(tried, key=lambda bins: _divergence(histogram, bins, steps))
    threshold = float(edges[best])
    return max(distribution.lowest, -threshold), min(distribution.highest, threshold)


def _divergence(histogram: Array, bins: int, steps: int) -> float:
    """Of the first `bins` with all beyond them at their end, against their means over `steps`."""
    inside = histogram[:bins]
    reference = inside.copy()
    reference[-1] += histogram[bins:].sum()
    step = np.minimum(np.arange(bins) * steps // bins, steps - 1)
    held = inside > 0
    mass = np.bincount(step, inside, minlength=steps)
    filled = np.bincount(step, held, minlength=steps)
    spread = np.divide(mass, filled, out=np.zeros_like(mass), where=filled > 0)[step] * held
    both = (reference > 0) & (spread > 0)
    if not both.any():
        return float("inf")
    wanted, told = reference / reference.sum(), spread / spread.sum()
    lost = float(wanted[(reference > 0) & ~both].sum())
    divergence = float((wanted[both] * np.log(wanted[both] / told[both])).sum())
    # What is left of an empty bin can't be told at all.
    return divergence + lost * float(np.log(bins))


def _mse(distribution: Distribution) -> Range:
    """The pair of ends with the least squared error, of up to 192 that were seen on each side."""
    values, counts = distribution.ascending
    lows = -_candidates(-values, -distribution.lowest)
    highs = _candidates(values, distribution.highest)
    lost_low = _beyond(-values, counts, -lows)
    lost_high = _beyond(values, counts, highs)
    steps = (highs[None, :] - lows[:, None]) / (LEVELS - 1)
    errors = _rounding(values, counts, steps) + lost_low[:, None] + lost_high[None, :]
    low, high = np.unravel_index(int(np.argmin(errors)), errors.shape)
    return float(lows[low]), float(highs[high])


def _candidates(values: Array, end: float) -> Array:
    """Positive values up to `end`, which is the last; zero alone where there are none."""
    if end <= 0:
        return np.zeros(1)
    positive = np.sort(values[(values > 0) & (values < end)])
    first = int(np.searchsorted(positive, _CLOSE * end))
    below = _spread(positive[:first], _CANDIDATES_BELOW)
    return np.concatenate([below, _spread(positive[first:], _CANDIDATES_CLOSE), [end]])


def _spread(values: Array, count: int) -> Array:
    """At most `count` of them, evenly chosen."""
    chosen = np.linspace(0, values.size - 1, min(count, values.size)).round()
    return np.asarray(values[chosen.astype(np.int64)])


def _beyond(values: Array, counts: Array, thresholds: Array) -> Array:
    """The squared distances to each threshold, summed over the values above it."""
    order = np.argsort(values)
    ascending, weights = values[order], counts[order].astype(np.float64)
    first = np.searchsorted(ascending, thresholds, side="right")
    count, total, squares = (
        np.append(np.cumsum((weights * ascending**power)[::-1])[::-1], 0.0)[first]
        for power in (0, 1, 2)
    )
    lost = squares - 2 * thresholds * total + thresholds**2 * count
    return np.asarray(np.maximum(lost, 0.0))


def _rounding(values: Array, counts: Array, steps: Array) -> Array:
    """What rounding to each step costs: a twelfth of its square for each value, but no more than
    the value's own square, which is lost where the step is large. Zeros are exact."""
    magnitudes = np.abs(values)
    order = np.argsort(magnitudes)
    ascending, weights = magnitudes[order], counts[order].astype(np.float64)
    small = np.searchsorted(ascending, steps / np.sqrt(12.0))
    lost = np.insert(np.cumsum(weights * ascending**2), 0, 0.0)[small]
    rounded = weights.sum() - np.insert(np.cumsum(weights), 0, 0.0)[small]
    return np.asarray(lost + rounded * steps**2 / 12)


METHODS: dict[str, Callable[[Distribution], Range]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}


def noise_of(distribution: Distribution, chosen: Range) -> tuple[float, float]:
    """(signal, quantization noise) of a tensor in the range: sums of squares over its values."""
    values, counts = distribution.ascending
    low, high = chosen
    step = (high - low) / (LEVELS - 1)
    outside = np.where(values > high, values - high, np.where(values < low, low - values, 0.0))
    inside = outside == 0
    noise = float((counts * outside**2).sum())
    noise += float(_rounding(values[inside], counts[inside], np.asarray([step]))[0])
    return float((counts * values**2).sum()), noise
