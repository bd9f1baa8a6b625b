"""Pairs of weights whose products fit into 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgesmith.quantize.rounding.pairs import MOST, mates_of, secure, secured
from edgesmith.quantize.rounding.solve import rounded
from edgesmith.quantize.weight_scales import LARGEST_WEIGHT, best_scales
from int8_files import Array, model_of

INT16 = np.iinfo(np.int16)


def saturates(integers: Array, mates: Array) -> bool:
    """Whether any activations of 8 bits make the sum of a pair's products leave 16 bits."""
    found = integers.astype(np.int64)
    pairs = np.stack([found, np.where(mates == np.arange(mates.size), 0, found[..., mates])])
    highest = 255 * np.maximum(pairs, 0).sum(axis=0)
    lowest = 255 * np.minimum(pairs, 0).sum(axis=0)
    return bool((highest > INT16.max).any() or (lowest < INT16.min).any())


@pytest.mark.parametrize(
    ("inputs", "kernel", "wanted"),
    [
        (4, (), [1, 0, 3, 2]),
        (5, (), [1, 0, 3, 2, 4]),
        # Two channels of a 1x2 kernel: the channels of each place are neighbours.
        (4, (1, 2), [2, 3, 0, 1]),
        # Three channels: the third of the first place and the first of the second.
        (6, (1, 2), [2, 4, 0, 5, 1, 3]),
        (3, (3,), [1, 0, 2]),
    ],
)
def test_mates_are_neighbours_in_the_kernels_order(
    inputs: int, kernel: tuple[int, ...], wanted: list[int]
) -> None:
    assert mates_of(inputs, kernel).tolist() == wanted


def test_depthwise_convolutions_of_images_have_no_pairs() -> None:
    assert mates_of(9, (3, 3), is_depthwise=True).tolist() == list(range(9))
    assert mates_of(3, (3,), is_depthwise=True).tolist() == [1, 0, 2]


@given(st.lists(st.integers(-127, 127), min_size=2, max_size=12))
@settings(deadline=None)
def test_secured_pairs_fit_and_others_stay(values: list[int]) -> None:
    integers, mates = np.array([values], np.int8), mates_of(len(values))
    found = secured(integers, mates)
    assert not saturates(found, mates)
    fits = np.abs(integers.astype(int) + np.where(mates == np.arange(len(values)), 0,
                                                  integers[:, mates])) <= MOST  # fmt: skip
    opposite = (integers > 0) != (integers[:, mates] > 0)
    assert (found == integers)[fits | opposite].all()
    assert (np.sign(found) * np.sign(integers) >= 0).all()


def moments_of(rows: Array) -> Array:
    return (rows.T @ rows)[None]


@pytest.mark.parametrize("inputs", [2, 7, 40, 200])
def test_rounded_pairs_fit_and_are_no_worse_than_secured_ones(inputs: int) -> None:
    generator = np.random.default_rng(inputs)
    weights = generator.standard_normal((1, 24, inputs))
    mates = mates_of(inputs)
    whole, scale = best_scales(weights[0])[None], best_scales(weights[0], mates)[None]
    seen = np.maximum(generator.standard_normal((4000, inputs)) + 0.5, 0).astype(np.float32)
    found = rounded(weights, scale, moments_of(seen), LARGEST_WEIGHT, mates[None])
    assert not saturates(found.integers, mates)
    assert found.error <= found.nearest_error
    free = rounded(weights, whole, moments_of(seen), LARGEST_WEIGHT)
    assert saturates(free.integers, mates)
    # Weights of 7 bits would have four times the error of 8 bits.
    assert found.error < 4 * free.error


def test_the_scale_follows_the_pairs() -> None:
    equal = np.ones((1, 4))
    mates = mates_of(4)
    assert best_scales(equal)[0] == pytest.approx(1 / LARGEST_WEIGHT)
    # Both of a pair are to be 64.
    assert best_scales(equal, mates)[0] == pytest.approx(1 / 64, rel=0.02)
    one = np.array([[1.0, 0.0, 1.0, 0.0]])
    assert best_scales(one, mates)[0] == pytest.approx(1 / LARGEST_WEIGHT)
    assert best_scales(np.zeros((1, 4)), mates)[0] > 0


def test_a_far_weight_is_clipped_where_that_costs_less() -> None:
    row = np.concatenate([np.random.default_rng(0).uniform(-1, 1, 40_000), [1.2]])[None]
    found = best_scales(row)[0] * LARGEST_WEIGHT
    assert 1.0 < found < 1.2


def test_all_weights_of_a_file_are_made_to_fit() -> None:
    """Those that are not rounded layer by layer too."""
    full = np.full((2, 4, 1, 1), 127, np.int8)
    product = np.full((4, 3), -127, np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        helper.make_node("Conv", ["x", "wd"], ["c"]),
        helper.make_node("MatMulInteger", ["a", "m"], ["y"]),
    ]
    model = model_of(
        nodes, {}, inputs={"x": (TensorProto.FLOAT, [1, 4, 1, 1]),
                           "a": (TensorProto.UINT8, [1, 4])}, outputs={"y": [1, 3]},
    )  # fmt: skip
    for name, value in (("w", full), ("m", product)):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    secure(model)
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert not saturates(stored["w"].reshape(2, 4), mates_of(4))
    assert not saturates(stored["m"].T, mates_of(4))
    assert (stored["w"].shape, stored["m"].shape) == (full.shape, product.shape)
