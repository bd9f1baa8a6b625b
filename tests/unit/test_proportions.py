"""Intervals of shares and of their differences, against figures known from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from edgesmith.report.proportions import (
    Z,
    difference_interval,
    share_interval,
    student_t_quantile,
)
from edgesmith.report.resampling import mean_interval


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062047362), (2, 4.3026527297), (6, 2.4469118511), (30, 2.0422724563),
     (399, 1.9659272959), (400, 1.9659123432)],
)  # fmt: skip
def test_student_t(degrees: int, quantile: float) -> None:
    assert student_t_quantile(degrees) == pytest.approx(quantile, rel=1e-9)


def pairs(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    a = np.repeat([1, 1, 0, 0], [both, first, second, neither])
    b = np.repeat([1, 0, 1, 0], [both, first, second, neither])
    found = difference_interval(a, b)
    assert found is not None
    return found


def test_tangos_example() -> None:
    """Two ways to disinfect contact lenses, his table 1: 43 pairs agree, one does not."""
    assert pairs(43, 0, 1, 0) == pytest.approx((-0.1181, 0.0594), abs=1e-4)


@pytest.mark.parametrize("count", [1, 14, 500])
def test_no_change_is_no_proof(count: int) -> None:
    half = Z**2 / (count + Z**2)
    assert pairs(count, 0, 0, 0) == pytest.approx((-half, half))
    assert pairs(0, 0, 0, count) == pytest.approx((-half, half))


def test_a_difference_of_all_ends_at_one() -> None:
    low, high = pairs(0, 9, 0, 0)
    assert 0 < low < 0.8 and high == 1
    assert pairs(0, 0, 9, 0) == pytest.approx((-1.0, -low))


def test_groups_count_once_where_they_agree() -> None:
    ones, groups = np.ones(70), np.repeat(np.arange(7), 10)
    found = difference_interval(ones, ones, groups)
    assert found == pytest.approx((-(Z**2) / (7 + Z**2), Z**2 / (7 + Z**2)))
    assert share_interval(ones, groups) == pytest.approx((7 / (7 + Z**2), 1))
    assert share_interval(ones, np.zeros(70)) is None
    assert difference_interval(ones, ones, np.zeros(70)) is None


@pytest.mark.parametrize("size", [8, 9])
def test_groups_that_vary_no_more_than_samples_count_as_samples(size: int) -> None:
    first = np.tile(np.arange(size) == 0, 4).astype(float)
    none, groups = np.zeros(4 * size), np.repeat(np.arange(4), size)
    assert difference_interval(first, none, groups) == difference_interval(first, none)
    assert share_interval(first, groups) == share_interval(first)


def test_groups_that_differ_widen() -> None:
    hits, groups = np.repeat([1, 0, 1, 0], 25), np.repeat(np.arange(4), 25)
    alone, grouped = share_interval(hits), share_interval(hits, groups)
    assert alone is not None and grouped is not None
    assert grouped[0] < alone[0] < alone[1] < grouped[1]


def test_resampling_of_equal_numbers_shows_nothing() -> None:
    assert mean_interval(np.full(50, 0.25)) is None
    assert mean_interval(np.array([0.25])) is None
