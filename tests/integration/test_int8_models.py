"""INT8 of models and data as they come: right, or refused with the reason."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.model import numeric
from edgesmith.quantize.audit import fused_operators
from edgesmith.values import SessionOptions
from int8_files import (
    AS_WRITTEN,
    GUARDED,
    IMAGES,
    Array,
    drawn,
    int8_of,
    model_of,
    sqnr_db,
    three_convs,
)


@pytest.mark.parametrize("opset", [13, 20])
def test_a_plain_network_runs_in_integers(opset: int, tmp_path: Path) -> None:
    path = int8_of(tmp_path, three_convs(opset=opset), {"x0": IMAGES})
    assert sqnr_db(tmp_path, {"x0": IMAGES[3]}) > 20
    operators = fused_operators(path, GUARDED, scratch=tmp_path)
    assert operators["QLinearConv"] == 3
    assert not {"Conv", "FusedConv"} & operators.keys()


@pytest.mark.parametrize(
    ("level", "options"), [("all", GUARDED), ("none", AS_WRITTEN)], ids=["all", "none"]
)
def test_an_excluded_layer_is_float_at_run_time(
    level: str, options: SessionOptions, tmp_path: Path
) -> None:
    model = three_convs()
    # One large weight: 8 bits for the whole tensor, which is what the runtime would make of it,
    # leave nothing of the others.
    weight = numpy_helper.to_array(model.graph.initializer[2]).copy()
    assert model.graph.initializer[2].name == "w1"
    weight[0, 0, 0, 0] = 300.0
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(weight, "w1"))
    images = IMAGES.copy()
    path = int8_of(tmp_path, model, {"x0": images}, exclude=("conv1",))
    if level == "all":
        assert fused_operators(path, options, scratch=tmp_path).get("QLinearConv") == 2
        trapped = fused_operators(path, SessionOptions(), scratch=tmp_path)
        assert trapped.get("QLinearConv") == 3, "ONNX Runtime no longer undoes exclude by itself"
    (found,) = numeric.open_session(path, options).run(None, {"x0": images[0]})
    # The file computed operator by operator, with the convolution in float.
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    (wanted,) = onnxruntime.InferenceSession(path, plain).run(None, {"x0": images[0]})
    step = np.unique(np.diff(np.unique(wanted))).min()
    assert np.abs(found - wanted).max() <= 1.01 * step
    (silent,) = numeric.open_session(path).run(None, {"x0": images[0]})
    assert np.abs(silent - wanted).max() > 2.5 * step


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((4, 1, 8, 12, 12), np.float32),
        np.full((4, 1, 8, 12, 12), 3.0, np.float32),
        IMAGES[:1],
        IMAGES * np.float32(1e20),
    ],
    ids=["zeros", "a constant", "one sample", "far out of range"],
)
@pytest.mark.parametrize("method", ["minmax", "mse", "percentile", "entropy"])
def test_poor_calibration_data_gives_a_sound_file(
    samples: Array, method: str, tmp_path: Path
) -> None:
    int8_of(tmp_path, three_convs(), {"x0": samples}, method=method)
    # What it was calibrated with, it computes.
    assert sqnr_db(tmp_path, {"x0": samples[0]}) > 10


def test_weights_that_two_layers_share(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MatMul", ["b", "w"], ["y"], name="second"),
    ]
    model = model_of(nodes, {"w": drawn(16, 16)}, inputs={"x": (1, ["n", 16])},
                     outputs={"y": ["n", 16]})  # fmt: skip
    x = drawn(30, 4, 16, seed=3)
    int8_of(tmp_path, model, {"x": x})
    assert sqnr_db(tmp_path, {"x": x[0]}) > 25


def test_a_convolution_with_computed_weights(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["w", "s"], ["scaled"], name="mul"),
        helper.make_node("Conv", ["x", "scaled"], ["y"], name="conv"),
    ]
    model = model_of(
        nodes, {"w": drawn(4, 3, 3, 3)},
        inputs={"x": (1, [1, 3, 9, 9]), "s": (1, [4, 1, 1, 1])}, outputs={"y": [1, 4, 7, 7]},
    )  # fmt: skip
    x, s = drawn(10, 1, 3, 9, 9), np.abs(drawn(10, 4, 1, 1, 1)) + 0.5
    int8_of(tmp_path, model, {"x": x, "s": s})
    assert sqnr_db(tmp_path, {"x": x[0], "s": s[0]}) > 25


def test_integer_inputs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], name="gather"),
        helper.make_node("MatMul", ["rows", "w"], ["y"], name="matmul"),
    ]
    weights = {"table": drawn(50, 16), "w": drawn(16, 8, seed=1)}
    model = model_of(nodes, weights, inputs={"ids": (TensorProto.INT64, ["n"])},
                     outputs={"y": ["n", 8]})  # fmt: skip
    ids = np.random.default_rng(0).integers(0, 50, (20, 6))
    int8_of(tmp_path, model, {"ids": ids})
    assert sqnr_db(tmp_path, {"ids": ids[0]}) > 25


@pytest.mark.parametrize("mask", [np.finfo(np.float32).min, -np.inf], ids=["lowest", "infinite"])
def test_attention_masks_stay_in_float(mask: float, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["q", "w"], ["scores"], name="scores"),
        helper.make_node("Add", ["scores", "mask"], ["masked"], name="masking"),
        helper.make_node("Softmax", ["masked"], ["y"], name="softmax"),
    ]
    model = model_of(nodes, {"w": drawn(8, 6)}, inputs={"q": (1, [5, 8]), "mask": (1, [6])},
                     outputs={"y": [5, 6]})  # fmt: skip
    masks = np.where(np.arange(6) < np.arange(12)[:, None] % 6 + 1, 0, mask).astype(np.float32)
    queries = drawn(12, 5, 8, seed=2)
    path = int8_of(tmp_path, model, {"q": queries, "mask": masks})
    kept = {node.op_type for node in onnx.load(path).graph.node}
    assert {"Add", "Softmax", "QuantizeLinear"} <= kept
    feeds = {"q": queries[2], "mask": masks[2]}
    assert sqnr_db(tmp_path, feeds) > 20
    (found,) = numeric.open_session(path, GUARDED).run(None, feeds)
    assert (found[:, 3:] == 0).all()


def test_nothing_to_quantize_is_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sin", ["x"], ["y"], name="sin")]
    model = model_of(nodes, {}, inputs={"x": (1, ["n", 4])}, outputs={"y": ["n", 4]})
    events, said = EventStream(), list[str]()
    events.subscribe(lambda event: said.append(str(event)))
    x = drawn(4, 2, 4)
    int8_of(tmp_path, model, {"x": x}, events=events)
    assert any("there is nothing to quantize" in one and "model has Sin" in one for one in said)
    assert sqnr_db(tmp_path, {"x": x[0]}) > 200


def unnamed(model: onnx.ModelProto) -> onnx.ModelProto:
    for node in model.graph.node:
        node.name = ""
    return model


def test_nodes_without_names_are_told_apart(tmp_path: Path) -> None:
    path = int8_of(tmp_path, unnamed(three_convs()), {"x0": IMAGES}, exclude=("Relu",))
    named = int8_of(tmp_path / "named", three_convs(), {"x0": IMAGES}, exclude=("Relu",))
    weights = [
        {one.name: numpy_helper.to_array(one) for one in onnx.load(each).graph.initializer}
        for each in (path, named)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert sqnr_db(tmp_path, {"x0": IMAGES[0]}) > 20


@pytest.mark.parametrize("bounds", ["above zero", "computed", "around zero"])
def test_a_clip_is_what_it_was(bounds: str, tmp_path: Path) -> None:
    model = three_convs()
    low = 0.5 if bounds == "above zero" else 0.0
    weights = {"low": np.array(low, np.float32), "high": np.array(1.0, np.float32)}
    model.graph.node[1].op_type = "Clip"
    model.graph.node[1].input.extend(["low", "limit" if bounds == "computed" else "high"])
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    samples = {"x0": IMAGES}
    if bounds == "computed":
        model.graph.input.append(helper.make_tensor_value_info("limit", TensorProto.FLOAT, []))
        samples["limit"] = np.ones(len(IMAGES), np.float32)
    path = int8_of(tmp_path, model, samples)
    kept = any(node.op_type == "Clip" for node in onnx.load(path).graph.node)
    assert kept == (bounds != "around zero")
    assert sqnr_db(tmp_path, {name: np.asarray(array[0]) for name, array in samples.items()}) > 20


def reading_inside(model: onnx.ModelProto, name: str, constant: str | None) -> onnx.ModelProto:
    """An If whose branches read the tensor, and a constant of the graph around it."""
    branches = {}
    for branch in ("then_branch", "else_branch"):
        ends = [helper.make_tensor_value_info(branch, TensorProto.FLOAT, None)]
        inner = helper.make_node("Mul", [name, constant or name], [branch], name=f"in_{branch}")
        branches[branch] = helper.make_graph([inner], branch, [], ends)
    model.graph.node.append(helper.make_node("If", ["flag"], ["z"], name="if", **branches))
    model.graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    return model


def test_what_a_body_reads_stays(tmp_path: Path) -> None:
    model = reading_inside(three_convs(), "c0", None)
    flags = np.ones(len(IMAGES), bool)
    path = int8_of(tmp_path, model, {"x0": IMAGES, "flag": flags})
    feeds = {"x0": IMAGES[0], "flag": np.asarray(flags[0])}
    wanted = numeric.open_session(tmp_path / "source.onnx").run(None, feeds)
    found = numeric.open_session(path, GUARDED).run(None, feeds)
    assert np.abs(found[1] - wanted[1]).max() < 0.1 * np.abs(wanted[1]).max()


def test_constants_that_bodies_read_stay_when_the_head_is_folded(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Conv", ["f", "w"], ["y"], name="conv"),
    ]
    weights = {"w": drawn(4, 3, 1, 1), "k": np.array(2.0, np.float32)}
    model = model_of(nodes, weights, inputs={"x": (TensorProto.UINT8, [1, 3, 5, 5])},
                     outputs={"y": [1, 4, 5, 5]})  # fmt: skip
    frames = np.random.default_rng(0).integers(0, 256, (9, 1, 3, 5, 5), np.uint8)
    flags = np.ones(9, bool)
    path = int8_of(tmp_path, reading_inside(model, "y", "k"), {"x": frames, "flag": flags})
    y, z = numeric.open_session(path, GUARDED).run(
        None, {"x": frames[0], "flag": np.asarray(flags[0])}
    )
    np.testing.assert_allclose(z, 2 * y, rtol=0.02, atol=0.02 * np.abs(y).max())


def test_a_tensor_that_is_always_empty(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Concat", ["past", "x"], ["all"], name="concat", axis=1),
        helper.make_node("MatMul", ["all", "w"], ["y"], name="matmul"),
    ]
    model = model_of(nodes, {"w": drawn(8, 4)}, outputs={"y": [1, 3, 4]},
                     inputs={"past": (1, [1, 0, 8]), "x": (1, [1, 3, 8])})  # fmt: skip
    samples = {"past": np.empty((6, 1, 0, 8), np.float32), "x": drawn(6, 1, 3, 8)}
    int8_of(tmp_path, model, samples)
    assert sqnr_db(tmp_path, {name: np.asarray(array[0]) for name, array in samples.items()}) > 25


def test_an_opset_without_int8_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        int8_of(tmp_path, three_convs(opset=9), {"x0": IMAGES})
    assert "the model has opset 9" in caught.value.render()
    assert "[model] opset = 13" in caught.value.render()


HASHING = """
import sys
sys.path[:0] = {paths}
from pathlib import Path
from int8_files import IMAGES, int8_of, three_convs
import hashlib
path = int8_of(Path({folder!r}), three_convs(), {{"x0": IMAGES}}, threads={threads})
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_the_file_is_the_same_from_run_to_run_and_for_any_number_of_threads(
    tmp_path: Path,
) -> None:
    hashes = set()
    for number, threads in enumerate((1, 2, 2)):
        paths = sys.path
        folder = str(tmp_path / str(number))
        code = HASHING.format(paths=paths, folder=folder, threads=threads)
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True,
            text=True,
        )  # fmt: skip
        hashes.add(done.stdout.split()[-1])
    assert len(hashes) == 1
    here = int8_of(tmp_path / "here", three_convs(), {"x0": IMAGES})
    assert hashlib.sha256(here.read_bytes()).hexdigest() in hashes
