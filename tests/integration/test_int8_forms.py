"""What quantization makes of operators for the CPUs of an encoding: in integers, and right."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgesmith.devices.emulation import find_qemu
from edgesmith.errors import ModelError
from edgesmith.model import numeric
from edgesmith.quantize.audit import fused_operators
from edgesmith.quantize.dynamic import suits
from edgesmith.quantize.encoding import Encoding
from int8_files import (
    AS_WRITTEN,
    GUARDED,
    U8S8,
    Array,
    drawn,
    int8_of,
    model_of,
    quantizer_of,
    sqnr_db,
)

TAILORED = dataclasses.replace(U8S8, channel_multiple=16, pads_colours=True, float_silu=True)
S8S8 = Encoding(
    name="s8s8", activation_signed=True, weight_signed=True, pairs=False, exact_here=False,
    channel_multiple=8,
)  # fmt: skip
IMAGES = drawn(24, 1, 3, 16, 16, seed=5)
Nodes = list[onnx.NodeProto]


def conv(name: str, source: str, **attributes: Any) -> onnx.NodeProto:
    inputs = [source, f"{name}_w", f"{name}_b"]
    return helper.make_node("Conv", inputs, [name], name=name, **attributes)


def weights_of(**shapes: tuple[int, ...]) -> dict[str, Array]:
    found = {}
    for index, (name, shape) in enumerate(shapes.items()):
        fan_in = int(np.prod(shape[1:]))
        found[f"{name}_w"] = drawn(*shape, seed=index) * np.float32(1.5 / np.sqrt(fan_in))
        found[f"{name}_b"] = drawn(shape[0], seed=50 + index) / 4
    return found


def network(nodes: Nodes, weights: dict[str, Array], channels: int = 8) -> onnx.ModelProto:
    return model_of(
        nodes, weights, inputs={"x": (TensorProto.FLOAT, ["batch", 3, 16, 16])},
        outputs={"y": ["batch", channels, 16, 16]},
    )  # fmt: skip


def squeezed(*activations: str) -> onnx.ModelProto:
    """Conv, activation, depthwise Conv, activation, squeeze-and-excite, Conv."""
    first, second = activations
    nodes = [
        conv("a", "x", pads=[1, 1, 1, 1]),
        helper.make_node(first, ["a"], ["b"], name="first"),
        conv("c", "b", group=24, pads=[1, 1, 1, 1]),
        helper.make_node(second, ["c"], ["d"], name="second"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="mean"),
        conv("f", "e"),
        helper.make_node("Relu", ["f"], ["g"], name="relu"),
        conv("h", "g"),
        helper.make_node("HardSigmoid", ["h"], ["i"], name="gate", alpha=1 / 6, beta=0.5),
        helper.make_node("Mul", ["d", "i"], ["j"], name="excite"),
        conv("y", "j"),
    ]
    weights = weights_of(a=(24, 3, 3, 3), c=(24, 1, 3, 3), f=(8, 24, 1, 1), h=(24, 8, 1, 1),
                         y=(8, 24, 1, 1))  # fmt: skip
    return network(nodes, weights)


@pytest.mark.parametrize("encoding", [U8S8, TAILORED, S8S8], ids=["plain", "tailored", "signed"])
def test_hard_activations_run_in_integers(encoding: Encoding, tmp_path: Path) -> None:
    path = int8_of(
        tmp_path, squeezed("HardSwish", "HardSwish"), {"x": IMAGES}, encoding=encoding
    )  # fmt: skip
    feeds = {"x": IMAGES[1]}
    assert sqnr_db(tmp_path, feeds, AS_WRITTEN) > 28
    assert sqnr_db(tmp_path, {"x": np.concatenate(IMAGES[:3])}, AS_WRITTEN) > 28
    if not encoding.activation_signed:
        assert sqnr_db(tmp_path, feeds, GUARDED) > 28
        operators = fused_operators(path, GUARDED, scratch=tmp_path)
        assert operators["QLinearMul"] == 3
        assert not {"HardSwish", "HardSigmoid", "Mul", "Add", "Clip"} & operators.keys()


def test_a_hard_sigmoid_of_any_slope(tmp_path: Path) -> None:
    for number, (alpha, beta) in enumerate(((0.2, 0.5), (0.5, 0.9), (0.1, 0.05), (0.25, 1.5))):
        nodes = [
            conv("a", "x", pads=[1, 1, 1, 1]),
            helper.make_node("HardSigmoid", ["a"], ["b"], name="gate", alpha=alpha, beta=beta),
            conv("y", "b"),
        ]
        model = network(nodes, weights_of(a=(8, 3, 3, 3), y=(8, 8, 1, 1)))
        folder = tmp_path / str(number)
        path = int8_of(folder, model, {"x": IMAGES})
        assert sqnr_db(folder, {"x": IMAGES[1]}) > 25
        assert "QLinearAdd" in fused_operators(path, GUARDED, scratch=tmp_path)


def silu(gate_read_twice: bool = False) -> onnx.ModelProto:
    nodes = [
        conv("a", "x", pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["a"], ["s"], name="sigmoid"),
        helper.make_node("Mul", ["a", "s"], ["m"], name="times"),
        *([helper.make_node("Add", ["m", "s"], ["n"], name="plus")] if gate_read_twice else []),
        conv("y", "n" if gate_read_twice else "m"),
    ]
    return network(nodes, weights_of(a=(8, 3, 3, 3), y=(8, 8, 1, 1)))


def test_silu_is_one_operator_in_float_or_two_in_integers(tmp_path: Path) -> None:
    floats = int8_of(tmp_path / "a", silu(), {"x": IMAGES}, encoding=TAILORED)
    integers = int8_of(tmp_path / "b", silu(), {"x": IMAGES})
    shared = int8_of(tmp_path / "c", silu(gate_read_twice=True), {"x": IMAGES}, encoding=TAILORED)
    found = [fused_operators(p, GUARDED, scratch=tmp_path) for p in (floats, integers, shared)]
    assert found[0]["QuickGelu"] == 1
    assert "QLinearSigmoid" not in found[0]
    assert "QuickGelu" not in found[1]
    assert (found[1]["QLinearSigmoid"], found[1]["QLinearMul"]) == (1, 1)
    assert "QuickGelu" not in found[2]
    assert min(sqnr_db(tmp_path / name, {"x": IMAGES[1]}) for name in "abc") > 28


@pytest.mark.parametrize("encoding", [U8S8, TAILORED], ids=["plain", "tailored"])
def test_an_excluded_sigmoid_is_float(encoding: Encoding, tmp_path: Path) -> None:
    path = int8_of(tmp_path, silu(), {"x": IMAGES}, encoding=encoding, exclude=("Sigmoid",))
    operators = fused_operators(path, GUARDED, scratch=tmp_path)
    assert operators.get("Sigmoid", 0) + operators.get("QuickGelu", 0) == 1
    assert "QLinearSigmoid" not in operators


def test_channels_are_padded_for_the_kernels(tmp_path: Path) -> None:
    path = int8_of(tmp_path, squeezed("Relu", "HardSwish"), {"x": IMAGES}, encoding=TAILORED)
    shapes = {
        tuple(one.dims) for one in onnx.load(path).graph.initializer if len(one.dims) == 4
    }  # fmt: skip
    # 24 channels to 32 would grow too much; three colours become four.
    assert {(24, 4, 3, 3), (24, 1, 3, 3)} <= shapes
    encoding = dataclasses.replace(TAILORED, channel_multiple=14)
    folder = tmp_path / "b"
    path = int8_of(folder, squeezed("Relu", "HardSwish"), {"x": IMAGES}, encoding=encoding)
    shapes = {
        tuple(one.dims) for one in onnx.load(path).graph.initializer if len(one.dims) == 4
    }  # fmt: skip
    assert shapes == {(28, 4, 3, 3), (28, 1, 3, 3), (8, 28, 1, 1), (28, 8, 1, 1)}
    assert sqnr_db(folder, {"x": IMAGES[1]}) > 28
    operators = fused_operators(path, GUARDED, scratch=tmp_path)
    assert (operators["QuantizeLinear"], operators["Pad"]) == (1, 1)


def test_channels_that_leave_the_model_stay(tmp_path: Path) -> None:
    nodes = [
        conv("a", "x", pads=[1, 1, 1, 1]),
        conv("y", "a", group=9, pads=[1, 1, 1, 1]),
    ]
    model = network(nodes, weights_of(a=(9, 3, 3, 3), y=(9, 1, 3, 3)), channels=9)
    quantizer = quantizer_of(
        tmp_path, model, {"x": IMAGES}, encoding=dataclasses.replace(TAILORED, channel_multiple=10)
    )
    kept = {one.name: tuple(one.dims) for one in quantizer.model.graph.initializer}
    assert kept["y_w"] == (9, 1, 3, 3)


def test_what_is_joined_shares_its_steps(tmp_path: Path) -> None:
    nodes = [
        conv("a", "x", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MaxPool", ["b"], ["p"], name="pool", kernel_shape=[3, 3],
                         pads=[1, 1, 1, 1]),
        conv("c", "x"),
        helper.make_node("Concat", ["p", "c", "b"], ["d"], name="join", axis=1),
        conv("y", "d"),
    ]  # fmt: skip
    weights = weights_of(a=(8, 3, 3, 3), c=(4, 3, 1, 1), y=(8, 20, 1, 1))
    quantizer = quantizer_of(tmp_path, network(nodes, weights), {"x": IMAGES})
    ranges = quantizer.ranges("minmax")
    assert ranges["c"] == ranges["d"]
    assert ranges["c"][0] < 0
    made = quantizer.quantize("minmax").path.rename(tmp_path / "int8.onnx")
    assert sqnr_db(tmp_path, {"x": IMAGES[1]}) > 25
    operators = fused_operators(made, GUARDED, scratch=tmp_path)
    assert operators["QLinearConcat"] == 1
    assert "DequantizeLinear" not in operators or operators["DequantizeLinear"] == 1


def attention(length: str = "length") -> onnx.ModelProto:
    """One head with its projections and a normalization: [batch, length, 16]."""
    names = ("q", "k", "v", "o")
    weights = {f"{n}_w": drawn(16, 16, seed=i) / 3 for i, n in enumerate(names)}
    weights |= {"scale": np.ones(16, np.float32), "bias": np.zeros(16, np.float32)}
    nodes = [helper.make_node("MatMul", ["x", f"{n}_w"], [n], name=n) for n in names[:3]]
    nodes += [
        helper.make_node("Transpose", ["k"], ["kt"], name="turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["shares"], name="softmax", axis=-1),
        helper.make_node("MatMul", ["shares", "v"], ["mixed"], name="mixed"),
        helper.make_node("MatMul", ["mixed", "o_w"], ["o"], name="o"),
        helper.make_node("Add", ["o", "x"], ["sum"], name="sum"),
        helper.make_node("LayerNormalization", ["sum", "scale", "bias"], ["y"], name="norm"),
    ]
    return model_of(
        nodes, weights, inputs={"x": (TensorProto.FLOAT, ["batch", length, 16])},
        outputs={"y": ["batch", length, 16]},
    )  # fmt: skip


SEQUENCES = drawn(24, 1, 12, 16, seed=8)


def test_only_products_with_weights_are_integers_in_a_transformer(tmp_path: Path) -> None:
    quantizer = quantizer_of(tmp_path, attention(), {"x": SEQUENCES})
    assert set(quantizer.kept) == {"turn", "scores", "softmax", "mixed", "sum"}
    path = quantizer.quantize("minmax").path.rename(tmp_path / "int8.onnx")
    assert sqnr_db(tmp_path, {"x": SEQUENCES[1]}) > 25
    operators = fused_operators(path, GUARDED, scratch=tmp_path)
    assert operators["MatMulIntegerToFloat"] == 4
    # One for what three products take, one for the last.
    assert operators["QuantizeLinear"] == 2
    assert "DequantizeLinear" not in operators


def test_dynamic_quantization_finds_ranges_by_itself(tmp_path: Path) -> None:
    quantizer = quantizer_of(tmp_path, attention(), {"x": SEQUENCES}, exclude=("o",))
    assert suits(quantizer.model)
    path = tmp_path / "int8.onnx"
    quantizer.quantize_dynamically(path)
    operators = fused_operators(path, GUARDED, scratch=tmp_path)
    assert operators["MatMul"] + operators["FusedMatMul"] == 3
    # A hundred times as large as anything before.
    assert sqnr_db(tmp_path, {"x": 100 * SEQUENCES[1]}) > 25
    held = [one for one in onnx.load(path).graph.initializer if one.data_type == one.INT8]
    assert len(held) >= 3
    assert all(np.abs(onnx.numpy_helper.to_array(one)).max() <= 64 for one in held)


def test_dynamic_quantization_says_what_it_is_not_for(tmp_path: Path) -> None:
    quantizer = quantizer_of(tmp_path, silu(), {"x": IMAGES})
    assert not suits(quantizer.model)
    with pytest.raises(ModelError, match="nothing to quantize dynamically"):
        quantizer.quantize_dynamically(tmp_path / "d.onnx")


def test_a_recurrent_network_has_dynamic_weights(tmp_path: Path) -> None:
    weights = {"w": drawn(1, 32, 6), "r": drawn(1, 32, 8, seed=1) / 3, "b": drawn(1, 64, seed=2)}
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], name="lstm", hidden_size=8)]
    model = model_of(
        nodes, weights, inputs={"x": (TensorProto.FLOAT, ["length", "batch", 6])},
        outputs={"y": ["length", 1, "batch", 8]},
    )  # fmt: skip
    sequences = drawn(8, 7, 1, 6, seed=3)
    quantizer = quantizer_of(tmp_path, model, {"x": sequences})
    assert suits(quantizer.model)
    path = tmp_path / "int8.onnx"
    quantizer.quantize_dynamically(path)
    assert "DynamicQuantizeLSTM" in fused_operators(path, GUARDED, scratch=tmp_path)
    assert sqnr_db(tmp_path, {"x": sequences[1]}) > 25
    assert numeric.open_session(path).run(None, {"x": sequences[1]})[0].shape == (7, 1, 1, 8)


RUN = """import sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
np.save(sys.argv[3], session.run(None, {"x": np.load(sys.argv[2])})[0])
"""


def on_haswell(folder: Path, feeds: Array) -> Array:
    """What int8.onnx gives on an emulated CPU with AVX2 and without VNNI."""
    np.save(folder / "x.npy", feeds)
    (folder / "run.py").write_text(RUN)
    argv = [str(find_qemu("EM_X86_64")), "-cpu", "Haswell", os.path.realpath(sys.executable)]
    argv += [str(folder / name) for name in ("run.py", "int8.onnx", "x.npy", "y.npy")]
    packages = str(Path(np.__file__).parents[1])
    subprocess.run(argv, check=True, env={**os.environ, "PYTHONPATH": packages})
    return np.load(folder / "y.npy")


def test_pairs_are_exact_without_vnni(tmp_path: Path) -> None:
    found = {}
    for pairs in (True, False):
        folder = tmp_path / str(pairs)
        encoding = dataclasses.replace(TAILORED, pairs=pairs, float_silu=False)
        path = int8_of(folder, squeezed("Relu", "HardSwish"), {"x": IMAGES}, encoding=encoding)
        images = np.concatenate(IMAGES[:4])
        (wanted,) = numeric.open_session(path, AS_WRITTEN).run(None, {"x": images})
        error = on_haswell(folder, images) - wanted
        found[pairs] = 10 * np.log10((wanted**2).sum() / max(float((error**2).sum()), 1e-30))
    # Steps that are rounded the other way are what is left.
    assert found[True] > 35
    assert found[False] < 30


def test_each_tensor_gets_the_range_that_serves_the_outputs(tmp_path: Path) -> None:
    """An outlier that hardly moves the outputs costs the others their steps."""
    images = IMAGES.copy()
    images[0, 0, 0, 0, 0] = 400.0
    nodes = [
        conv("a", "x", pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["a"], ["s"], name="sigmoid"),
        conv("y", "s"),
    ]
    model = network(nodes, weights_of(a=(8, 3, 3, 3), y=(8, 8, 1, 1)))
    quantizer = quantizer_of(tmp_path, model, {"x": images})
    plain = quantizer.quantize("minmax")
    found = quantizer.quantize_by_tensor(plain)
    assert found.method == "by-tensor"
    assert plain.ranges["x"][1] == 400.0
    assert found.ranges["x"][1] < 40
    assert found.ranges.keys() == plain.ranges.keys()
    losses = []
    for made in (plain, found):
        made.path.rename(tmp_path / "int8.onnx")
        losses.append(sqnr_db(tmp_path, {"x": images[3]}))
    assert losses[1] > losses[0] + 6
