"""What tensors hold over the calibration data, and the ranges that are made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.model import numeric
from edgesmith.quantize.calibrate import observation
from edgesmith.quantize.calibrate.distribution import Counter, Distribution
from edgesmith.quantize.calibrate.thresholds import LEVELS, METHODS, noise_of, range_of
from edgesmith.quantize.calibrate.watched import SAMPLED, watch
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.ranges import ranges_by
from edgesmith.quantize.static import QuantizationPlan, quantize_static

Array = np.ndarray[Any, Any]


def counted(*parts: Array) -> Distribution:
    counter = Counter()
    for part in parts:
        values = part.astype(np.float32).reshape(-1)
        counter.add(float(values.min()), float(values.max()), values)
    return counter.distribution()


def normal(count: int = 100_000, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def test_values_are_counted_to_a_hundredth_of_their_size() -> None:
    values = normal() * np.geomspace(1e-6, 1e6, 100_000).astype(np.float32)
    found = counted(values)
    middles, counts = found.ascending
    assert counts.sum() == values.size
    assert (np.diff(middles) > 0).all()
    np.testing.assert_allclose(np.repeat(middles, counts), np.sort(values), rtol=0.01, atol=0)
    assert (found.lowest, found.highest) == (values.min(), values.max())


def test_the_order_of_samples_does_not_matter() -> None:
    parts = [normal(70_000, seed) * 10.0**seed for seed in range(4)]
    one, other = counted(*parts), counted(*reversed(parts))
    assert np.array_equal(one.codes, other.codes)
    assert np.array_equal(one.counts, other.counts)


def quantized(values: Array, low: float, high: float) -> Array:
    """What 8 bits make of the values, with a whole zero point."""
    step = (high - low) / (LEVELS - 1)
    zero = round(-low / step)
    return (np.clip(np.round(values / step) + zero, 0, LEVELS - 1) - zero) * step


def error_of(values: Array, chosen: tuple[float, float]) -> float:
    return float(((quantized(values, *chosen) - values) ** 2).mean())


TENSORS: dict[str, Callable[[], Array]] = {
    "normal": normal,
    "relu": lambda: np.maximum(normal(), 0),
    "heavy tails": lambda: np.random.default_rng(1).standard_t(3, 100_000),
    "an outlier": lambda: np.append(normal(), 1e3),
    "far outliers": lambda: np.append(normal(), [-1e6, 2e6]),
    "one-sided": lambda: np.random.default_rng(2).exponential(1.0, 100_000) + 5,
    "mostly zeros": lambda: np.where(normal() > 2.5, normal(seed=1), 0),
}


@pytest.mark.parametrize("name", [name for name in TENSORS if name != "far outliers"])
def test_mse_is_as_good_as_a_search_with_real_quantization(name: str) -> None:
    values = TENSORS[name]().astype(np.float64)
    chosen = range_of(counted(values), "mse")
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    shares = np.concatenate([np.geomspace(1e-6, 0.1, 25), np.linspace(0.12, 1, 45)])
    best = min(
        error_of(values, (low * a, high * b))
        for a in (shares if low < 0 else [1.0])
        for b in shares[:: 2 if low < 0 else 1]
    )
    assert error_of(values, chosen) <= 1.15 * best


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TENSORS)
def test_every_range_holds_zero_and_lies_within_the_extremes(name: str, method: str) -> None:
    found = counted(TENSORS[name]())
    low, high = range_of(found, method)
    assert min(found.lowest, 0) <= low <= 0 <= high <= max(found.highest, 0)
    assert high > low


def test_what_each_method_does_with_an_outlier() -> None:
    many = [normal(seed=seed) for seed in range(20)]
    found = counted(*many, np.array([1000.0]))
    assert range_of(found, "minmax")[1] == 1000.0
    assert 4.0 < range_of(found, "percentile")[1] < 6.0
    # A square of a million weighs less than the two million that a step of 4 would lose, and more
    # than a hundred thousand.
    assert 4.0 < range_of(found, "mse")[1] < 6.0
    assert range_of(counted(many[0], np.array([1000.0])), "mse")[1] > 500


def test_entropy_leaves_sparse_tails_out() -> None:
    tails = np.random.default_rng(1).laplace(0, 1, 1_000_000)
    low, high = range_of(counted(tails), "entropy")
    assert 3 < high < 0.9 * tails.max()
    assert low == pytest.approx(-high)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 3.5, -2.0])
def test_a_constant_is_in_its_range(value: float, method: str) -> None:
    found = counted(np.full(1000, value))
    assert found.is_constant
    assert range_of(found, method) == (min(value, 0.0), max(value, 0.0))


def test_the_noise_told_is_that_of_real_quantization() -> None:
    values = normal().astype(np.float64)
    signal, noise = noise_of(counted(values), (-2.5, 2.5))
    assert signal == pytest.approx(float((values**2).sum()), rel=0.01)
    assert noise == pytest.approx(error_of(values, (-2.5, 2.5)) * values.size, rel=0.03)


@pytest.mark.parametrize("mask", [-np.inf, np.finfo(np.float32).min, np.inf])
def test_masks_are_known(mask: float) -> None:
    assert counted(np.append(normal(), mask)).holds_masks
    assert not counted(normal() * 1e6).holds_masks


def network(*, half: bool = False, opset: int = 20) -> onnx.ModelProto:
    """Conv, Relu, Conv beside it, Add: [batch, 3, 8, 8] to [batch, 4, 8, 8]."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    dtype = np.float16 if half else np.float32
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal((4, 3, 1, 1)).astype(dtype), name)
        for name in ("w1", "w2")
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["x", "w2"], ["c"], name="second"),
        helper.make_node("Add", ["b", "c"], ["y"], name="add"),
    ]
    graph = helper.make_graph(
        nodes, "one",
        [helper.make_tensor_value_info("x", kind, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", kind, ["batch", 4, 8, 8])], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def observed(
    folder: Path, model: onnx.ModelProto, inputs: Array, **options: Any
) -> dict[str, Distribution]:
    onnx.save(model, folder / "prepared.onnx")
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(len(inputs))}
    save_file({"inputs/x": inputs}, folder / "samples.safetensors", metadata)
    return observation.observe(
        folder / "prepared.onnx", folder / "samples.safetensors", events=EventStream(), **options
    )


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("batch", [1, 40])
def test_what_is_told_of_tensors_is_what_they_hold(half: bool, batch: int, tmp_path: Path) -> None:
    dtype = np.float16 if half else np.float32
    inputs = normal(5 * batch * 3 * 64).reshape(5, batch, 3, 8, 8).astype(dtype)
    found = observed(tmp_path, network(half=half), inputs)
    assert set(found) == {"x", "a", "b", "c", "y"}
    # The quantizer removes the Relu: before it lies what it lets through.
    assert found["a"] is found["b"]
    assert found["b"].lowest == 0
    x = found["x"]
    assert (x.lowest, x.highest) == (float(inputs.min()), float(inputs.max()))
    size = inputs[0].size
    assert x.counts.sum() == (inputs.size if size <= SAMPLED else pytest.approx(5 * SAMPLED, rel=1))
    values, counts = x.ascending
    assert np.average(values**2, weights=counts) == pytest.approx(1.0, abs=0.1)


def test_samples_are_taken_where_sizes_are_not_known_before(tmp_path: Path) -> None:
    model = network()
    del model.graph.value_info[:]
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[2].dim_param = "height"
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("Cast", ["places"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["floats"], ["z"]),
    ]
    model.graph.node.extend(nodes)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [4, "found"]))
    inputs = normal(3 * 16 * 3 * 64).reshape(3, 16, 3, 8, 8)
    found = observed(tmp_path, onnx.shape_inference.infer_shapes(model), inputs)
    assert found["z"].highest == 15
    assert SAMPLED < found["z"].counts.sum() < 3 * 4 * inputs[0].size


def test_a_relu_that_others_read_beside_is_watched_itself() -> None:
    model = network()
    model.graph.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, None))
    watched = watch(model, ["Conv", "Relu", "Add"], {"x": (1, 3, 8, 8)})
    assert not watched.same
    assert watched.tensors == ("x", "a", "b", "c", "y")


def test_equal_observations_have_equal_bytes_for_any_number_of_threads(tmp_path: Path) -> None:
    inputs = normal(4 * 192).reshape(4, 1, 3, 8, 8)
    written = []
    for threads in (1, 2, 2):
        found = observed(tmp_path, network(), inputs, threads=threads)
        observation.save(found, tmp_path / "observed.safetensors")
        written.append((tmp_path / "observed.safetensors").read_bytes())
    assert written[0] == written[1] == written[2]
    again = observation.load(tmp_path / "observed.safetensors")
    assert list(again) == list(found)
    for name, one in found.items():
        assert (again[name].lowest, again[name].highest) == (one.lowest, one.highest)
        assert np.array_equal(again[name].codes, one.codes)
        assert np.array_equal(again[name].counts, one.counts)


def test_a_sample_that_makes_a_tensor_nan_is_named(tmp_path: Path) -> None:
    inputs = normal(4 * 192).reshape(4, 1, 3, 8, 8)
    inputs[2, 0, 0, 0, 0] = np.nan
    with pytest.raises(ModelError) as caught:
        observed(tmp_path, network(), inputs)
    assert "makes the tensor 'x' NaN" in caught.value.render()
    assert "data.calibration" in caught.value.render()


def test_no_samples_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no calibration samples"):
        observed(tmp_path, network(), np.empty((0, 1, 3, 8, 8), np.float32))


def quantize(folder: Path, model: onnx.ModelProto, inputs: Array) -> Path:
    found = observed(folder, model, inputs)
    encoding = Encoding(
        name="u8s8", activation_signed=False, weight_signed=True, pairs=True, exact_here=True
    )
    plan = QuantizationPlan(
        model=folder / "prepared.onnx",
        ranges=ranges_by(found, "minmax"),
        method="minmax",
        encoding=encoding,
        in_integers=frozenset(node.name for node in onnx.load(folder / "prepared.onnx").graph.node),
        scales={},
    )
    quantize_static(plan, folder / "int8.onnx", events=EventStream())
    return folder / "int8.onnx"


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_the_quantizer_takes_the_ranges_in_the_tensors_own_type(half: bool, tmp_path: Path) -> None:
    dtype = np.float16 if half else np.float32
    inputs = normal(4 * 192).reshape(4, 1, 3, 8, 8).astype(dtype)
    session = numeric.open_session(quantize(tmp_path, network(half=half), inputs))
    (got,) = session.run(None, {"x": inputs[0]})
    (wanted,) = numeric.open_session(tmp_path / "prepared.onnx").run(None, {"x": inputs[0]})
    assert got.dtype == wanted.dtype
    assert np.abs(got.astype(float) - wanted).max() < 0.05 * np.abs(wanted).max()


def test_float16_takes_an_opset_that_has_scales_for_it(tmp_path: Path) -> None:
    inputs = normal(4 * 192).reshape(4, 1, 3, 8, 8).astype(np.float16)
    with pytest.raises(ModelError) as caught:
        quantize(tmp_path, network(half=True, opset=18), inputs)
    assert "float16, and opset 18 has no INT8" in caught.value.render()
    assert "opset = 19" in caught.value.render()
