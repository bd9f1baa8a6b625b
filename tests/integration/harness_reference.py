"""The harness' metrics and intervals once more, from their definitions in NumPy and SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import optimize, stats

Array = np.ndarray[Any, Any]
Interval = tuple[float, float] | None
SEED = 20250101


class Draws:
    """SplitMix64, and whole numbers below a bound from its upper halves."""

    def __init__(self) -> None:
        self._drawn = 0

    def below(self, bound: int, count: int = 1) -> Array:
        steps = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        with np.errstate(over="ignore"):
            mixed = np.uint64(SEED) + steps * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
        return (((mixed >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)


def bootstrap(
    count: int, groups: Array | None, statistic: Callable[[Array], float], replicates: int = 1000
) -> Interval:
    """Percentile bootstrap over samples, or over whole groups."""
    if groups is None:
        members = [np.array([i]) for i in range(count)]
    else:
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        if len(members) < 2:
            return None
    drawn = Draws().below(len(members), replicates * len(members)).reshape(replicates, -1)
    values = [statistic(np.concatenate([members[i] for i in row])) for row in drawn]
    finite = sorted(v for v in values if math.isfinite(v))
    if len(finite) < replicates / 2:
        return None
    low, high = (finite[math.floor(share * (len(finite) - 1) + 0.5)] for share in (0.025, 0.975))
    return None if finite[0] == finite[-1] else (low, high)


def wilson(share: float, count: float) -> tuple[float, float]:
    """For a number of samples that need not be whole."""
    z = stats.norm.ppf(0.975)
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    root = math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    half = z / (1 + z**2 / count) * root
    return (0.0 if share == 0 else center - half), (1.0 if share == 1 else center + half)


def proportion(hits: Array, groups: Array | None) -> tuple[float, Interval]:
    share, count = float(hits.mean()), len(hits)
    if groups is None:
        found = stats.binomtest(int(hits.sum()), count).proportion_ci(0.95, method="wilson")
        return share, (found.low, found.high)
    if len(np.unique(groups)) < 2:
        return share, None
    return share, wilson(share, independent_count(hits, groups, share * (1 - share)))


def independent_count(values: Array, groups: Array, of_one: float) -> float:
    """Korn and Graubard's effective sample size; `of_one` is the variance of one sample."""
    names, index = np.unique(groups, return_inverse=True)
    residuals = np.bincount(index, weights=values - values.mean())
    if of_one == 0:
        return len(names)
    variance = len(names) / (len(names) - 1) * np.square(residuals).sum() / len(values) ** 2
    if variance == 0:
        return len(values)
    ratio = stats.t.ppf(0.975, len(values) - 1) / stats.t.ppf(0.975, len(names) - 1)
    return float(min(len(values), of_one / variance * ratio**2))


def paired_loss(before: Array, after: Array, groups: Array | None) -> tuple[float, Interval]:
    """Tango's score interval, with the likelihood under each difference maximized in the open."""
    change = before.astype(float) - after.astype(float)
    loss, count = float(change.mean()), float(len(change))
    if groups is not None:
        if len(np.unique(groups)) < 2:
            return loss, None
        count = independent_count(change, groups, float((change != 0).mean()) - loss**2)
    lost, won = count * float((change > 0).mean()), count * float((change < 0).mean())

    def excess(difference: float) -> float:
        """Squared score less the quantile's."""
        # Where the log likelihood's derivative in the share won is zero, times its denominators.
        roots = np.roots(
            [
                2 * count,
                (2 * count - lost + won) * difference - lost - won,
                -won * difference * (1 - difference),
            ]
        )
        share = max(float(roots.real.max()), 0.0)
        variance = (2 * share + difference - difference**2) / count
        return (loss - difference) ** 2 - float(stats.chi2.ppf(0.95, 1)) * variance

    # Without a change the loss itself is a root too, and no end of the interval.
    near = 0.0 if lost + won else 1e-9
    tight = {"xtol": 1e-15, "rtol": 1e-14}
    low = -1.0 if loss == -1 else optimize.brentq(excess, -1 + 1e-12, loss - near, **tight)
    high = 1.0 if loss == 1 else optimize.brentq(excess, loss + near, 1 - 1e-12, **tight)
    return loss, (low, high)


def top_k(outputs: Array, labels: Array, k: int) -> Array:
    """Ties fall to the lower class; a sample with an output that is not a number misses."""
    order = np.argsort(-outputs, axis=1, kind="stable")[:, :k]
    return (order == labels[:, None]).any(axis=1) & ~np.isnan(outputs).any(axis=1)


def agreement(outputs: Array, reference: Array) -> Array:
    numbers = ~np.isnan(outputs).any(axis=1) & ~np.isnan(reference).any(axis=1)
    same: Array = np.argmax(np.nan_to_num(outputs, nan=0), axis=1) == np.argmax(
        np.nan_to_num(reference, nan=0), axis=1
    )
    return same & numbers


def error_metrics(outputs: Array, reference: Array) -> dict[str, Callable[[Array], float]]:
    """Each metric as a function of the indices of the samples."""
    found, wanted = outputs.astype(np.float64), reference.astype(np.float64)
    signal = np.square(wanted).sum(axis=1)
    noise = np.square(found - wanted).sum(axis=1)
    power = np.square(found).sum(axis=1)
    worst = np.abs(found - wanted).max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.minimum(1, (found * wanted).sum(axis=1) / np.sqrt(signal * power))
    zero = (signal == 0) | (power == 0)
    cosine = np.where(zero, (signal == power).astype(float), cosine)

    def sqnr(index: Array) -> float:
        total, lost = signal[index].sum(), noise[index].sum()
        if total == 0:
            return math.nan
        return math.inf if lost == 0 else float(10 * np.log10(total / lost))

    return {
        "cosine": lambda index: float(cosine[index].mean()),
        "sqnr_db": sqnr,
        "max_abs_error": lambda index: float(worst[index].max()),
    }


def effective_count(processes: list[Array], quantile: float, threshold: float) -> float:
    """Wolff's summed autocovariances of the indicator, with Sokal's window."""
    size = math.ceil(max(map(len, processes)) / 5000)
    shares = []
    for one in processes:
        blocks = (one <= threshold)[: len(one) // size * size].reshape(-1, size).mean(axis=1)
        shares.append(blocks - blocks.mean())
    count, total = sum(map(len, shares)), sum(map(len, processes))

    def autocovariance(lag: int) -> float:
        pairs = [(s[lag:] * s[: len(s) - lag]) for s in shares]
        return float(sum(p.sum() for p in pairs) / sum(map(len, pairs)))

    variance = autocovariance(0)
    if variance == 0:
        return total
    summed, window = variance, 0
    while (
        window < max(1, max(map(len, processes)) // size // 20) and window < 5 * summed / variance
    ):
        window += 1
        summed += 2 * autocovariance(window)
    terms = 2 * window + 1
    factor = size * summed * (1 + len(processes) * terms / count) / (quantile * (1 - quantile))
    degrees = count / terms
    if factor <= 1 + math.sqrt(2 / degrees):
        return total
    t = stats.t.ppf(0.975, max(1, degrees)) / stats.norm.ppf(0.975)
    return float(total / (factor * t**2))


def process_half_width(
    processes: list[Array], quantile: float, threshold: float, effective: float
) -> float:
    count, total = len(processes), sum(map(len, processes))
    if count < 2:
        return 0.0
    hits = np.array([(one <= threshold).sum() for one in processes])
    residuals = hits - hits.sum() / total * np.array(list(map(len, processes)))
    between = count / (count - 1) * np.square(residuals).sum() / total
    if between / (quantile * (1 - quantile)) <= 3 * total / effective:
        return 0.0
    own = [np.sort(one)[math.ceil(quantile * len(one)) - 1] for one in processes]
    spread = np.std(np.log(own), ddof=1)
    return float(stats.t.ppf(0.975, count - 1) * spread / math.sqrt(count))


def percentile(processes: list[Array], quantile: float) -> tuple[float | None, Interval, int]:
    """Value, interval and effective number of latencies."""
    pooled = np.sort(np.concatenate(processes))
    value = float(pooled[max(1, math.ceil(quantile * len(pooled))) - 1])
    exact = effective_count(processes, quantile, value)
    effective = max(1, int(exact))
    low = int(stats.binom.ppf(0.025, effective, quantile))
    high = int(stats.binom.ppf(0.975, effective, quantile)) + 1
    if low < 1 or high > effective:
        return None, None, effective
    if effective < len(pooled):
        scale = (len(pooled) + 1) / (effective + 1)
        low, high = math.floor(low * scale), min(len(pooled), math.ceil(high * scale))
    factor = math.exp(process_half_width(processes, quantile, value, exact))
    bounds = min(pooled[low - 1], value / factor), max(pooled[high - 1], value * factor)
    return value, (float(bounds[0]), float(bounds[1])), effective


def _side(processes: list[Array], draws: Draws) -> tuple[float, float]:
    """Mean logarithm of the medians, and its variance over other processes."""
    blocks = []
    for one in processes:
        count = min(len(one), 64)
        cuts = [i * len(one) // count for i in range(count + 1)]
        blocks.append(np.array([np.median(one[a:b]) for a, b in pairwise(cuts)]))
    replicates = []
    for _ in range(200):
        logs = []
        for _ in processes:
            chosen = blocks[int(draws.below(len(blocks))[0])]
            run = min(8, (len(chosen) + 3) // 4)
            starts = draws.below(len(chosen) - run + 1, math.ceil(len(chosen) / run))
            drawn = np.concatenate([chosen[start : start + run] for start in starts])
            logs.append(math.log(np.median(drawn[: len(chosen)])))
        replicates.append(np.mean(logs))
    variance = float(np.var(replicates)) * len(processes) / max(1, len(processes) - 1)
    return float(np.mean([math.log(np.median(one)) for one in processes])), variance


def median_ratio(baseline: list[Array], candidate: list[Array]) -> tuple[float, Interval]:
    draws = Draws()
    (a, variance_a), (b, variance_b) = _side(baseline, draws), _side(candidate, draws)
    if min(len(baseline), len(candidate)) < 2:
        return math.exp(a - b), None
    variance = variance_a + variance_b
    squares = variance_a**2 / (len(baseline) - 1) + variance_b**2 / (len(candidate) - 1)
    half = stats.t.ppf(0.975, variance**2 / squares) * math.sqrt(variance)
    return math.exp(a - b), (math.exp(a - b - half), math.exp(a - b + half))


def outlier_count(pooled: Array) -> int:
    deviations = np.abs(pooled - np.median(pooled))
    limit = 14.826 * max(float(np.median(deviations)), 0.001 * float(np.median(pooled)))
    return int((deviations > limit).sum())
