"""Graphs that a quantizer easily gets wrong: each gives what it gave in float."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.model import numeric
from edgesmith.quantize.audit import fused_graph
from edgesmith.quantize.encoding import Encoding
from int8_files import AS_WRITTEN, GUARDED, U8S8, Array, drawn, int8_of, model_of, quantizer_of

FULL = dataclasses.replace(U8S8, pairs=False)
S8S8 = Encoding(
    name="s8s8", activation_signed=True, weight_signed=True, pairs=False, exact_here=False
)
ROWS = drawn(32, 2, 16, seed=3)
IMAGES = drawn(16, 1, 8, 10, 10, seed=4)
node = helper.make_node


def of_rows(nodes: list[onnx.NodeProto], weights: dict[str, Array], **more: Any) -> onnx.ModelProto:
    return model_of(
        nodes, weights, inputs={"x": (TensorProto.FLOAT, ["batch", 16])},
        outputs={"y": None}, **more,
    )  # fmt: skip


def of_images(nodes: list[onnx.NodeProto], weights: dict[str, Array], **more: Any) -> Any:
    outputs = more.pop("outputs", {"y": None})
    return model_of(
        nodes, weights, inputs={"x": (TensorProto.FLOAT, ["batch", 8, 10, 10])}, outputs=outputs,
        **more,
    )  # fmt: skip


def conv(name: str, source: str) -> onnx.NodeProto:
    return node("Conv", [source, f"{name}_w", f"{name}_b"], [name], name=name, pads=[1, 1, 1, 1])


def weights_of(*names: str, channels: int = 8) -> dict[str, Array]:
    found = {}
    for index, name in enumerate(names):
        found[f"{name}_w"] = drawn(8, channels, 3, 3, seed=index) / 6
        found[f"{name}_b"] = drawn(8, seed=20 + index) / 2
    return found


def joined(first: str, second: str) -> onnx.ModelProto:
    """Two branches, one or both behind an activation that the quantizer removes."""
    bounds = {"zero": np.float32(0), "one": np.float32(1)}
    nodes = [conv("a", "x"), conv("b", "x")]
    for name, kind in (("a", first), ("b", second)):
        inputs = [name, "zero", "one"] if kind == "Clip" else [name]
        nodes.append(node(kind, inputs, [f"{name}2"], name=f"{name}2"))
    nodes += [node("Concat", ["a2", "b2"], ["c"], name="join", axis=1), conv("y", "c")]
    weights = weights_of("a", "b") | weights_of("y", channels=16)
    return of_images(nodes, weights | {n: np.array(v) for n, v in bounds.items()})


def gated(bias: float) -> onnx.ModelProto:
    """A Sigmoid of logits far below zero, as of rare classes."""
    weights = weights_of("a", "y")
    weights["a_b"] = np.full(8, bias, np.float32)
    return of_images([conv("a", "x"), node("Sigmoid", ["a"], ["y"], name="s")], weights)


def twice(*transposed: int) -> onnx.ModelProto:
    """One matrix for several Gemms, along either axis."""
    nodes, source = [], "x"
    for index, by_rows in enumerate(transposed):
        target = "y" if index == len(transposed) - 1 else f"g{index}"
        nodes.append(node("Gemm", [source, "w"], [target], name=f"gemm{index}", transB=by_rows))
        source = target
    scales = np.geomspace(0.01, 3, 16, dtype=np.float32)
    return of_rows(nodes, {"w": drawn(16, 16) * scales / 4})


def gemm(bias: Array | None, **factors: float) -> onnx.ModelProto:
    inputs = ["x", "w"] if bias is None else ["x", "w", "b"]
    weights = {"w": drawn(16, 12) / 4} | ({} if bias is None else {"b": bias})
    nodes = [node("Gemm", inputs, ["g"], name="gemm", **factors)]
    nodes.append(node("Relu", ["g"], ["y"], name="relu"))
    return of_rows(nodes, weights)


def product(shape: tuple[int, ...], *, left: bool = False) -> onnx.ModelProto:
    """A product with constant weights of any rank, or on the left."""
    sides = ["w", "x"] if left else ["x", "w"]
    nodes = [node("MatMul", sides, ["m"], name="product"), node("Relu", ["m"], ["y"], name="relu")]
    return of_rows(nodes, {"w": drawn(*shape) / 4})


def also_added() -> onnx.ModelProto:
    nodes = [
        node("MatMul", ["x", "w"], ["m"], name="product"),
        node("Add", ["m", "w"], ["y"], name="plus"),
    ]
    weights = {"w": drawn(16, 16) / 4}
    return model_of(nodes, weights, inputs={"x": (TensorProto.FLOAT, [16, 16])},
                    outputs={"y": [16, 16]})  # fmt: skip


def relu_read_inside(kind: str) -> onnx.ModelProto:
    """An If whose bodies read what comes behind a Relu."""
    bodies = {}
    for name in ("then_branch", "else_branch"):
        body = helper.make_graph(
            [node("Neg", ["r"], [f"{name}_y"])], name, [],
            [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)],
        )  # fmt: skip
        bodies[name] = body
    nodes = [
        node("MatMul", ["x", "w"], ["m"], name="product"),
        node("Relu", ["m"], ["r"], name="relu"),
        node("If", ["yes"], ["y"], name="if", **bodies),
    ]
    return of_rows(nodes, {"w": drawn(16, 16) / 4, "yes": np.array(kind == "then")})


def padded_by_axes() -> onnx.ModelProto:
    weights = weights_of("a", "y") | {"pads": np.array([1, 1, 1, 1]), "axes": np.array([2, 3])}
    nodes = [conv("a", "x"), node("Pad", ["a", "pads", "", "axes"], ["p"], name="pad")]
    return of_images([*nodes, conv("y", "p")], weights)


def dead_channel() -> onnx.ModelProto:
    weights = weights_of("a", "y")
    weights["a_w"][2] = 0
    weights["a_b"][2] = 0.3
    return of_images([conv("a", "x"), conv("y", "a")], weights)


CASES: dict[str, Callable[[], onnx.ModelProto]] = {
    "Relu beside negatives": lambda: joined("Relu", "Identity"),
    "Relu beside HardSwish": lambda: joined("Relu", "HardSwish"),
    "Clip beside Relu": lambda: joined("Clip", "Relu"),
    "Relu beside Relu": lambda: joined("Relu", "Relu"),
    "shares of a hundredth": lambda: gated(-5.0),
    "shares of a thousandth": lambda: gated(-8.0),
    "Gemms along both axes": lambda: twice(0, 1),
    "Gemms along both axes in turns": lambda: twice(1, 0, 1),
    "beta": lambda: gemm(drawn(12), beta=0.5),
    "alpha and beta": lambda: gemm(drawn(12), alpha=0.5, beta=2.0),
    "beta of nothing": lambda: gemm(None, beta=0.5),
    "bias of one number": lambda: gemm(drawn(1)),
    "bias of one row": lambda: gemm(drawn(1, 12)),
    "bias of two rows": lambda: gemm(drawn(2, 12)),
    "weights of rank 1": lambda: product((16,)),
    "weights of rank 3": lambda: product((2, 16, 5)),
    "constant on the left": lambda: product((3, 2), left=True),
    "weights that are added too": also_added,
    "Relu read in the branch taken": lambda: relu_read_inside("then"),
    "Relu read in the other branch": lambda: relu_read_inside("else"),
    "Pad of some axes": padded_by_axes,
    "a channel without weights": dead_channel,
}  # fmt: skip


def sqnr_db(wanted: Array, found: Array) -> float:
    noise = float(((wanted.astype(np.float64) - found) ** 2).sum())
    return float(10 * np.log10((wanted.astype(np.float64) ** 2).sum() / max(noise, 1e-30)))


@pytest.mark.parametrize("encoding", [U8S8, FULL, S8S8], ids=["pairs", "full", "signed"])
@pytest.mark.parametrize("name", CASES)
def test_an_odd_graph_gives_what_it_gave(name: str, encoding: Encoding, tmp_path: Path) -> None:
    model = CASES[name]()
    samples = IMAGES if model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 8 else ROWS
    if name == "weights that are added too":
        samples = drawn(12, 16, 16, seed=6)
    path = int8_of(tmp_path, model, {"x": samples}, encoding=encoding)
    (wanted,) = numeric.open_session(tmp_path / "source.onnx").run(None, {"x": samples[1]})
    for options in (GUARDED, AS_WRITTEN):
        (found,) = numeric.open_session(path, options).run(None, {"x": samples[1]})
        assert sqnr_db(wanted, found) > 25
    fused_graph(path, GUARDED, scratch=tmp_path, signed=encoding.activation_signed)


def test_an_embedding_tied_to_the_head(tmp_path: Path) -> None:
    nodes = [
        node("Gather", ["w", "ids"], ["e"], name="look up"),
        node("LayerNormalization", ["e", "one", "zero"], ["n"], name="norm"),
        node("MatMul", ["n", "m"], ["h"], name="product"),
        node("Gemm", ["h", "w"], ["y"], name="head", transB=1),
    ]
    weights = {"w": drawn(40, 16), "m": drawn(16, 16, seed=1) / 4,
               "one": np.ones(16, np.float32), "zero": np.zeros(16, np.float32)}  # fmt: skip
    model = model_of(nodes, weights, inputs={"ids": (TensorProto.INT64, [7])},
                     outputs={"y": [7, 40]})  # fmt: skip
    ids = np.random.default_rng(0).integers(0, 40, (12, 7))
    quantizer = quantizer_of(tmp_path, model, {"ids": ids})
    dynamic = tmp_path / "dynamic.onnx"
    quantizer.quantize_dynamically(dynamic)
    (wanted,) = numeric.open_session(tmp_path / "source.onnx").run(None, {"ids": ids[1]})
    for path in (quantizer.quantize("minmax").path, dynamic):
        (found,) = numeric.open_session(path, GUARDED).run(None, {"ids": ids[1]})
        assert sqnr_db(wanted, found) > 25


def test_weights_that_a_product_and_a_gemm_share_are_dynamic_too(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["m"], name="product"),
        node("Gemm", ["m", "w"], ["y"], name="gemm", transB=1),
    ]
    model = of_rows(nodes, {"w": drawn(16, 16) / 4})
    for number, exclude in enumerate(((), ("product",))):
        folder = tmp_path / str(number)
        quantizer = quantizer_of(folder, model, {"x": ROWS}, exclude=exclude)
        quantizer.quantize_dynamically(folder / "dynamic.onnx")
        (wanted,) = numeric.open_session(folder / "source.onnx").run(None, {"x": ROWS[1]})
        (found,) = numeric.open_session(folder / "dynamic.onnx").run(None, {"x": ROWS[1]})
        assert sqnr_db(wanted, found) > 25


def test_what_leaves_the_model_before_its_relu_keeps_its_negatives(tmp_path: Path) -> None:
    nodes = [conv("a", "x"), node("Relu", ["a"], ["r"], name="relu"), conv("y", "r")]
    model = of_images(nodes, weights_of("a", "y"), outputs={"a": None, "y": None})
    path = int8_of(tmp_path, model, {"x": IMAGES})
    wanted = numeric.open_session(tmp_path / "source.onnx").run(None, {"x": IMAGES[1]})
    found = numeric.open_session(path, GUARDED).run(None, {"x": IMAGES[1]})
    assert min(sqnr_db(one, other) for one, other in zip(wanted, found, strict=True)) > 25


@pytest.mark.parametrize("kind", ["Concat", "Softmax"])
def test_float16_without_an_integer_form_stays(kind: str, tmp_path: Path) -> None:
    half = {name: value.astype(np.float16) for name, value in weights_of("a").items()}
    wide = weights_of("y", channels=16 if kind == "Concat" else 8)
    half |= {name: value.astype(np.float16) for name, value in wide.items()}
    inputs = ["a", "x"] if kind == "Concat" else ["a"]
    nodes = [conv("a", "x"), node(kind, inputs, ["c"], name="c", axis=1), conv("y", "c")]
    model = model_of(nodes, half, inputs={"x": (TensorProto.FLOAT16, [1, 8, 10, 10])},
                     outputs={}, opset=20)  # fmt: skip
    model.graph.output.append(
        helper.make_tensor_value_info("y", TensorProto.FLOAT16, [1, 8, 10, 10])
    )
    images = IMAGES.astype(np.float16)
    path = int8_of(tmp_path, model, {"x": images})
    (wanted,) = numeric.open_session(tmp_path / "source.onnx").run(None, {"x": images[1]})
    (found,) = numeric.open_session(path, GUARDED).run(None, {"x": images[1]})
    assert sqnr_db(wanted, found) > 20


def test_an_excluded_layer_is_not_padded(tmp_path: Path) -> None:
    encoding = dataclasses.replace(U8S8, channel_multiple=10, pads_colours=True)
    nodes = [
        conv("a", "x"),
        node("Conv", ["a", "d_w"], ["d"], name="d", group=8, pads=[1, 1, 1, 1]),
        conv("y", "d"),
    ]
    model = of_images(nodes, weights_of("a", "y") | {"d_w": drawn(8, 1, 3, 3)})
    shapes = []
    for number, exclude in enumerate(((), ("d",))):
        quantizer = quantizer_of(
            tmp_path / str(number), model, {"x": IMAGES}, encoding=encoding, exclude=exclude
        )
        used = {one.input[1] for one in quantizer.model.graph.node if one.name == "d"}
        shapes += [tuple(t.dims) for t in quantizer.model.graph.initializer if t.name in used]
    assert shapes == [(10, 1, 3, 3), (8, 1, 3, 3)]
    assert all(numpy_helper.to_array(t).size for t in quantizer.model.graph.initializer)
