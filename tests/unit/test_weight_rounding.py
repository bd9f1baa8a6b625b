"""Weights rounded so that a layer's outputs stay close, against definitions and ONNX Runtime."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from edgesmith.events import EventStream
from edgesmith.model import numeric
from edgesmith.quantize.rounding import moments, solve
from edgesmith.quantize.rounding.apply import WeightRounding
from edgesmith.quantize.rounding.layers import layers_of
from edgesmith.quantize.rounding.solve import rounded
from edgesmith.values import SessionOptions

Array = np.ndarray[Any, Any]


def correlated(rows: int, inputs: int, seed: int = 0) -> Array:
    """Inputs as a layer after a ReLU sees them: of few causes, and positive."""
    generator = np.random.default_rng(seed)
    mixed = generator.standard_normal((rows, max(2, inputs // 4)))
    mixed = mixed @ generator.standard_normal((mixed.shape[1], inputs))
    return np.asarray(np.maximum(mixed + 0.1 * generator.standard_normal((rows, inputs)), 0.0))


def problem(groups: int, outputs: int, inputs: int) -> tuple[Array, Array, Array]:
    """(weights, scale, moments)."""
    generator = np.random.default_rng(1)
    weights = generator.standard_normal((groups, outputs, inputs))
    scale = np.abs(weights).max(axis=2) / 127
    rows = np.stack([correlated(4 * inputs + 50, inputs, seed) for seed in range(groups)])
    return weights, scale, rows.swapaxes(1, 2) @ rows


@pytest.mark.parametrize(("groups", "outputs", "inputs"), [(1, 8, 200), (3, 5, 64), (40, 1, 9)])
def test_outputs_are_closer_than_with_the_nearest_integers(
    groups: int, outputs: int, inputs: int
) -> None:
    weights, scale, sums = problem(groups, outputs, inputs)
    found = rounded(weights, scale, sums, 127)
    for integers, error in (
        (np.rint(weights / scale[..., None]), found.nearest_error),
        (found.integers, found.error),
    ):
        difference = integers * scale[..., None] - weights
        told = np.einsum("gon,gnm,gom->", difference, sums, difference)
        assert error == pytest.approx(told, rel=1e-6)
    assert found.error < 0.5 * found.nearest_error
    assert np.abs(found.integers - weights / scale[..., None]).max() < 12


def test_little_is_left_to_gain_over_all_that_can_be_chosen() -> None:
    weights, scale, sums = problem(12, 1, 4)
    found = rounded(weights, scale, sums, 127)
    below = np.floor(weights / scale[..., None])
    best = np.full(12, np.inf)
    for steps in itertools.product((-1, 0, 1, 2), repeat=4):
        difference = (below + steps) * scale[..., None] - weights
        best = np.minimum(best, np.einsum("gon,gnm,gom->g", difference, sums, difference))
    assert best.sum() <= found.error <= 2 * best.sum()
    assert found.nearest_error > 2 * best.sum()


def test_no_row_becomes_worse_and_no_limit_is_passed() -> None:
    weights, scale, sums = problem(1, 50, 30)
    found = rounded(weights, scale / 3, sums, 64)
    assert np.abs(found.integers).max() == 64
    nearest = np.clip(np.rint(weights / (scale / 3)[..., None]), -64, 64)
    errors = [
        np.einsum("gon,gnm,gom->o", d, sums, d)
        for d in (i * (scale / 3)[..., None] - weights for i in (nearest, found.integers))
    ]
    assert (errors[1] <= errors[0] * (1 + 1e-9)).all()


@pytest.mark.parametrize("kind", ["zero", "equal", "infinite"])
def test_inputs_that_tell_nothing_leave_the_nearest_integers(kind: str) -> None:
    weights, scale, sums = problem(1, 4, 10)
    sums = {"zero": sums * 0, "equal": np.eye(10)[None], "infinite": sums * np.inf}[kind]
    with np.errstate(invalid="ignore"):
        found = rounded(weights, scale, sums, 127)
    assert np.array_equal(found.integers, np.rint(weights / scale[..., None]))


CONVS = {
    "plain": ((4, 3, 3, 3), {}),
    "1x1": ((4, 6, 1, 1), {}),
    "strides and pads": ((4, 3, 3, 2), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    "dilations": ((2, 3, 3, 3), {"dilations": [2, 1]}),
    "depthwise": ((6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "groups": ((6, 2, 3, 3), {"group": 3}),
    "one dimension": ((4, 3, 5), {"strides": [2]}),
    "three dimensions": ((4, 2, 2, 3, 2), {}),
}


def model_of(nodes: list[onnx.NodeProto], weights: dict[str, Array], shape: list[Any]) -> Any:
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def dequantizing(model: onnx.ModelProto, weight: Array, axis: int | None) -> onnx.ModelProto:
    """The model with its weight `w` as INT8, each at its nearest integer."""
    over = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.abs(weight).max(axis=over if axis is not None else None) / np.float32(127)
    wide = np.expand_dims(scale, over) if axis is not None else scale
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.initializer[:]
    integers = np.rint(weight / wide).astype(np.int8)
    result.graph.initializer.extend(
        [
            numpy_helper.from_array(integers, "w_int8"),
            numpy_helper.from_array(np.asarray(scale, np.float32), "w_scale"),
        ]
    )
    axes = {} if axis is None else {"axis": axis}
    node = helper.make_node("DequantizeLinear", ["w_int8", "w_scale"], ["w"], **axes)
    result.graph.node.insert(0, node)
    return result


def conv(name: str) -> tuple[onnx.ModelProto, Array, Array]:
    """(model, its weight, an input)."""
    shape, attributes = CONVS[name]
    generator = np.random.default_rng(0)
    weight = generator.standard_normal(shape).astype(np.float32)
    # The table's values are of several types.
    channels = shape[1] * int(attributes.get("group", 1))  # type: ignore[call-overload]
    x = generator.standard_normal((2, channels, *[9, 8, 7][: len(shape) - 2])).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **attributes)
    return model_of([node], {"w": weight}, list(x.shape)), weight, x


@pytest.mark.parametrize("name", CONVS)
def test_rows_times_weights_are_what_a_convolution_gives(name: str) -> None:
    model, weight, x = conv(name)
    (layer,) = layers_of(model, dequantizing(model, weight, 0))
    rows = layer.rows(x, 10**6, np.random.default_rng(0))
    products = rows @ layer.weights().swapaxes(1, 2)
    (wanted,) = numeric.open_session(model.SerializeToString()).run(None, {"x": x})
    # [groups, batch and places, outputs of a group] to [batch, channels, places]
    found = products.transpose(0, 2, 1).reshape(wanted.shape[1], wanted.shape[0], -1)
    found = found.swapaxes(0, 1).reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    some = layer.rows(x, 5, np.random.default_rng(0))
    assert some.shape == (layer.groups, 5, layer.inputs)


def dense(operator: str) -> tuple[onnx.ModelProto, Array, int]:
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((5, 12) if operator == "Gemm, transB" else (12, 5))
    weight = weight.astype(np.float32)
    attributes = {"transB": 1} if operator == "Gemm, transB" else {}
    node = helper.make_node(operator.split(",")[0], ["x", "w"], ["y"], name="dense", **attributes)
    model = model_of([node], {"w": weight}, ["rows", 12])
    return model, weight, 0 if attributes else 1


def apply(model: onnx.ModelProto, quantized: onnx.ModelProto, x: Array, folder: Path) -> Any:
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(len(x))}
    save_file({"inputs/x": x}, folder / "samples.safetensors", metadata)
    work = WeightRounding(
        prepared=model, samples=folder / "samples.safetensors", limit=127, events=EventStream()
    )
    return work.apply(quantized)


def error_of(model: onnx.ModelProto, quantized: onnx.ModelProto, x: Array) -> float:
    # As the file says, without kernels that round the inputs too.
    plain = SessionOptions(graph_optimization_level="disable")
    wanted, found = (
        numeric.open_session(one.SerializeToString(), plain).run(None, {"x": x})[0]
        for one in (model, quantized)
    )
    return float(((wanted - found) ** 2).sum())


@pytest.mark.parametrize("scales", ["per channel", "per tensor"])
@pytest.mark.parametrize("operator", ["Gemm", "Gemm, transB", "MatMul"])
def test_the_file_itself_becomes_closer(operator: str, scales: str, tmp_path: Path) -> None:
    model, weight, axis = dense(operator)
    quantized = dequantizing(model, weight, axis if scales == "per channel" else None)
    x = correlated(1280, 12).reshape(20, 64, 12).astype(np.float32)
    before = error_of(model, quantized, x.reshape(-1, 12))
    (told,) = apply(model, quantized, x, tmp_path)
    after = error_of(model, quantized, x.reshape(-1, 12))
    assert after < 0.5 * before
    gain = told.sqnr_db - told.nearest_sqnr_db
    assert 10 * np.log10(before / after) == pytest.approx(gain, abs=0.5)


@pytest.mark.parametrize("name", CONVS)
def test_convolutions_become_closer_too(name: str, tmp_path: Path) -> None:
    model, weight, x = conv(name)
    quantized = dequantizing(model, weight, 0)
    many = correlated(30, x.size).reshape(30, *x.shape).astype(np.float32)
    before = sum(error_of(model, quantized, one) for one in many)
    (told,) = apply(model, quantized, many, tmp_path)
    assert told.sqnr_db > told.nearest_sqnr_db
    assert sum(error_of(model, quantized, one) for one in many) < 0.95 * before


def test_weights_that_two_layers_share_stay_as_they_are(tmp_path: Path) -> None:
    model, weight, axis = dense("MatMul")
    model.graph.node.append(helper.make_node("MatMul", ["x", "w"], ["z"], name="again"))
    quantized = dequantizing(model, weight, axis)
    assert layers_of(model, quantized) == []


def test_wide_layers_are_solved_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_WIDEST", 5)
    monkeypatch.setattr(moments, "_MOST_BYTES", 10)
    model, weight, axis = dense("MatMul")
    quantized = dequantizing(model, weight, axis)
    x = correlated(1280, 12).reshape(20, 64, 12).astype(np.float32)
    before = error_of(model, quantized, x.reshape(-1, 12))
    (told,) = apply(model, quantized, x, tmp_path)
    assert told.sqnr_db >= told.nearest_sqnr_db
    assert error_of(model, quantized, x.reshape(-1, 12)) < before


@pytest.mark.parametrize("numbers", [1, 700, 5000])
def test_parts_give_what_the_whole_gives(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, scale, sums = problem(7, 5, 30)
    whole = rounded(weights, scale, sums, 127)
    monkeypatch.setattr(solve, "_AT_ONCE", numbers)
    parts = rounded(weights, scale, sums, 127)
    assert np.array_equal(parts.integers, whole.integers)
    assert parts.error == pytest.approx(whole.error)
    assert parts.signal == pytest.approx(whole.signal)


def test_what_was_solved_is_not_solved_again(tmp_path: Path) -> None:
    model, weight, axis = dense("MatMul")
    x = correlated(640, 12).reshape(10, 64, 12).astype(np.float32)
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": "10"}
    save_file({"inputs/x": x}, tmp_path / "samples.safetensors", metadata)
    events, said = EventStream(), list[Any]()
    events.subscribe(said.append)
    work = WeightRounding(
        prepared=model, samples=tmp_path / "samples.safetensors", limit=127, events=events
    )
    first, second = (dequantizing(model, weight, axis) for _ in range(2))
    assert work.apply(first) == work.apply(second)
    assert len(said) == 1
    assert first.SerializeToString() == second.SerializeToString()
