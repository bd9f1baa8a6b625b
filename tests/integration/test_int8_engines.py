"""INT8 for engines that compile whole graphs: where the integers stand, and what they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.quantize.encoding import Encoding
from int8_files import AS_WRITTEN, Array, drawn, int8_of, model_of, sqnr_db

OPENVINO = Encoding(
    name="u8s8-openvino", activation_signed=False, weight_signed=True, pairs=False,
    exact_here=False, fuses=True,
)  # fmt: skip
SEVEN_BITS = Encoding(
    name="u8s8-openvino-7bit", activation_signed=False, weight_signed=True, pairs=False,
    exact_here=False, fuses=True, largest_weight=64,
)  # fmt: skip
TENSORRT = Encoding(
    name="s8s8-symmetric", activation_signed=True, weight_signed=True, pairs=False,
    exact_here=False, fuses=True, symmetric=True, float_bias=True,
)  # fmt: skip
IMAGES = drawn(16, 1, 8, 12, 12, seed=5)
ENGINES = {"openvino": OPENVINO, "7 bits": SEVEN_BITS, "tensorrt": TENSORRT}


def residual() -> onnx.ModelProto:
    """HardSwish, a branch that is added, a mean and a Gemm: as in networks for images."""
    weights: dict[str, Array] = {}
    for index, name in enumerate(("first", "second", "third")):
        weights[f"{name}_w"] = drawn(8, 8, 3, 3, seed=index) / 8
        weights[f"{name}_b"] = drawn(8, seed=20 + index) / 4
    weights["gemm_w"], weights["gemm_b"] = drawn(5, 8, seed=9), drawn(5, seed=10)

    def conv(name: str, source: str) -> onnx.NodeProto:
        inputs = [source, f"{name}_w", f"{name}_b"]
        return helper.make_node("Conv", inputs, [name], name=name, pads=[1, 1, 1, 1])

    nodes = [
        conv("first", "x"),
        helper.make_node("HardSwish", ["first"], ["a"], name="swish"),
        conv("second", "a"),
        helper.make_node("Relu", ["second"], ["b"], name="relu"),
        conv("third", "b"),
        helper.make_node("Add", ["third", "a"], ["sum"], name="add"),
        helper.make_node("GlobalAveragePool", ["sum"], ["mean"], name="mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "gemm_w", "gemm_b"], ["y"], name="gemm", transB=1),
    ]
    return model_of(
        nodes, weights, inputs={"x": (TensorProto.FLOAT, ["batch", 8, 12, 12])},
        outputs={"y": ["batch", 5]},
    )  # fmt: skip


@pytest.fixture(scope="module", params=sorted(ENGINES))
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("engine") / "one"
    encoding = ENGINES[request.param]
    int8_of(folder, residual(), {"x": IMAGES}, encoding=encoding, threads=1)
    return request.param, folder


def stored(model: onnx.ModelProto) -> dict[str, Array]:
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def test_outputs_stay(made: tuple[str, Path]) -> None:
    _, folder = made
    for batch in (1, 3):
        feeds = {"x": np.concatenate(IMAGES[:batch])}
        assert sqnr_db(folder, feeds, AS_WRITTEN) > 25


def test_activations_stand_behind_their_convolution_in_float(made: tuple[str, Path]) -> None:
    """What an engine fuses is no place for a rounding."""
    _, folder = made
    model = onnx.load(folder / "int8.onnx")
    makers = {name: node for node in model.graph.node for name in node.output}
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["HardSwish"] == kinds["Relu"] == 1
    for node in model.graph.node:
        if node.op_type in ("HardSwish", "Relu"):
            assert makers[node.input[0]].op_type == "Conv"
        if node.op_type in ("Conv", "Gemm"):
            assert all(makers[name].op_type == "DequantizeLinear" for name in node.input[:2])


def test_both_summands_of_a_branch_are_quantized(made: tuple[str, Path]) -> None:
    _, folder = made
    model = onnx.load(folder / "int8.onnx")
    makers = {name: node for node in model.graph.node for name in node.output}
    (add,) = (node for node in model.graph.node if node.op_type == "Add")
    assert [makers[name].op_type for name in add.input] == ["DequantizeLinear"] * 2


def test_tensorrt_gets_symmetric_integers_and_biases_in_float(made: tuple[str, Path]) -> None:
    name, folder = made
    model = onnx.load(folder / "int8.onnx")
    constants = stored(model)
    types = {array.dtype.name for array in constants.values()}
    zeros = [
        constants[node.input[2]]
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    ]
    if name != "tensorrt":
        assert "int32" in types
        return
    assert "int32" not in types and "uint8" not in types
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)


def test_seven_bits_are_kept(made: tuple[str, Path]) -> None:
    name, folder = made
    weights = [
        array
        for array in stored(onnx.load(folder / "int8.onnx")).values()
        if array.dtype == np.int8 and array.ndim > 1
    ]
    assert len(weights) == 4
    largest = max(int(np.abs(array.astype(np.int32)).max()) for array in weights)
    assert largest == (64 if name == "7 bits" else 127)
