"""Multiply-adds of small models, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.model.operations import multiply_adds_per_sample

FLOAT = TensorProto.FLOAT


def weights(name: str, *dims: int) -> Any:
    return numpy_helper.from_array(np.ones(dims, np.float32), name)


def model_of(
    nodes: list[Any], shape: list[int | str], initializers: list[Any], rank: int
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, [None] * rank)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize("batch", [1, "batch"])
@pytest.mark.parametrize(
    ("group", "kernel", "expected"),
    [
        (1, (16, 8, 3, 3), 16 * 6 * 6 * 8 * 9),
        (8, (8, 1, 3, 3), 8 * 6 * 6 * 9),
    ],
)
def test_convolutions(batch: int | str, group: int, kernel: tuple[int, ...], expected: int) -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["y"], group=group)
    assert multiply_adds_per_sample(
        model_of([conv], [batch, 8, 8, 8], [weights("w", *kernel)], 4)
    ) == (expected)


def test_a_transposed_convolution() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    model = model_of([node], ["n", 4, 5, 5], [weights("w", 4, 6, 2, 2)], 4)
    assert multiply_adds_per_sample(model) == 4 * 5 * 5 * 6 * 2 * 2


@pytest.mark.parametrize("name", ["Gemm", "MatMul"])
def test_products(name: str) -> None:
    node = helper.make_node(name, ["x", "w"], ["y"])
    assert multiply_adds_per_sample(model_of([node], ["n", 10], [weights("w", 10, 7)], 2)) == 70


def test_a_transposed_left_side() -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)
    assert multiply_adds_per_sample(model_of([node], [5, 3], [weights("w", 5, 7)], 2)) == 3 * 5 * 7


def test_what_does_not_grow_with_the_batch_is_not_counted_for_each_sample() -> None:
    """The second product has the batch as its inner dimension: two samples take less than twice."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=1),
        helper.make_node("MatMul", ["s", "v"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    model = model_of(nodes, ["n", 10], [weights("w", 10, 7), weights("v", 1, 7)], 2)
    assert multiply_adds_per_sample(model) == 70


def test_constants_and_unknown_shapes_count_nothing() -> None:
    nodes = [
        helper.make_node("MatMul", ["v", "w"], ["c"]),
        helper.make_node("Mystery", ["x"], ["m"], domain="somewhere.else"),
        helper.make_node("MatMul", ["m", "c"], ["y"]),
    ]
    model = model_of(nodes, ["n", 10], [weights("v", 10, 100), weights("w", 100, 7)], 2)
    model.opset_import.append(helper.make_opsetid("somewhere.else", 1))
    assert multiply_adds_per_sample(model) == 0


def test_quantized_models_count_the_same() -> None:
    scale = numpy_helper.from_array(np.float32(0.1), "s")
    zero = numpy_helper.from_array(np.int8(0), "z")
    kernel = numpy_helper.from_array(np.ones((16, 8, 3, 3), np.int8), "w")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["dw"]),
        helper.make_node("Conv", ["d", "dw"], ["y"]),
    ]
    model = model_of(nodes, ["n", 8, 8, 8], [scale, zero, kernel], 4)
    assert multiply_adds_per_sample(model) == 16 * 6 * 6 * 8 * 9
    fused = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"]),
    ]
    model = model_of(fused, ["n", 8, 8, 8], [scale, zero, kernel], 4)
    assert multiply_adds_per_sample(model) == 16 * 6 * 6 * 8 * 9


def test_large_weights_are_not_needed() -> None:
    """Sizes come from the weights' dimensions; a shape that is computed still is followed."""
    shape = numpy_helper.from_array(np.array([-1, 64], np.int64), "shape")
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Gemm", ["r", "w"], ["y"]),
    ]
    model = model_of(nodes, ["n", 1, 8, 8], [shape, weights("w", 64, 100)], 2)
    assert multiply_adds_per_sample(model) == 6400
    assert model.graph.initializer[1].raw_data
