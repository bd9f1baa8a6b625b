"""[preprocess]: in the graph as in its definition, and folded into integers where that is exact."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.errors import ModelError, UsageError
from edgesmith.model import adapt as adapt_module
from edgesmith.model import onnx_file
from edgesmith.model.adapt import adapt
from edgesmith.model.preprocess import Preprocess, fed_shape, preprocess_of
from edgesmith.project.load import load_project
from edgesmith.quantize.input_head import feed_integers, head_nodes
from edgesmith.values import TensorInfo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET = Preprocess(
    dtype="uint8", permutation=(0, 3, 1, 2), scale=1 / 255, mean=MEAN, std=STD, to="float32"
)
CENTERED = Preprocess(
    dtype="uint8",
    permutation=(0, 3, 1, 2),
    scale=1 / 128,
    mean=(127 / 128,),
    std=(1.0,),
    to="float32",
)


def conv_model(path: Path, *, shape: Sequence[Any] = ("n", 3, 6, 5), dtype: int = 1) -> None:
    """y = conv(image), with a tensor whose name the preprocessing would like to take."""
    weight = np.random.default_rng(3).standard_normal((4, 3, 3, 3))
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["image_preprocessed"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["image_preprocessed"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, [shape[0], 4, *shape[2:]])],
        [numpy_helper.from_array(weight.astype(kind), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx_file.save(model, path)


def run(path: Path, feeds: dict[str, Any]) -> Any:
    return onnxruntime.InferenceSession(str(path)).run(None, feeds)[0]


@pytest.mark.parametrize("batch", [1, 3])
def test_the_graph_takes_what_the_camera_gives(tmp_path: Path, batch: int) -> None:
    bare, path = tmp_path / "bare.onnx", tmp_path / "model.onnx"
    conv_model(bare)
    conv_model(path)
    checks = adapt(path, {"image": IMAGENET}, {"n": (1, 4)})
    assert [c.sizes for c in checks] == [{"n": 1}, {"n": 1}, {"n": 4}, {"n": 4}]
    assert max(c.max_rel_error for c in checks) < 1e-5
    facts = onnx_file.describe(onnx_file.load(path), path)
    assert facts.inputs == (TensorInfo(name="image", dtype="uint8", dims=("n", 6, 5, 3)),)
    frame = np.random.default_rng(1).integers(0, 256, (batch, 6, 5, 3), np.uint8)
    prepared = ((frame / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    expected = run(bare, {"image": prepared})
    np.testing.assert_allclose(run(path, {"image": frame}), expected, rtol=0, atol=2e-5)


def test_identity_and_float16(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    conv_model(path, dtype=TensorProto.FLOAT16)
    steps = Preprocess(
        dtype="float32", permutation=None, scale=1.0, mean=(0.0,), std=(1.0,), to="float16"
    )
    adapt(path, {"image": steps}, {})
    assert [n.op_type for n in onnx.load(path).graph.node] == ["Cast", "Conv", "Relu"]


def test_nodes_that_differ_from_the_definition_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    conv_model(path)
    wrong = adapt_module.definition.apply
    monkeypatch.setattr(
        adapt_module.definition, "apply", lambda array, steps: wrong(array, steps) * 1.01
    )
    with pytest.raises(ModelError, match="differs from the model before it"):
        adapt(path, {"image": IMAGENET}, {})


def test_shapes() -> None:
    assert fed_shape(["n", 3, 8, 9], (0, 3, 1, 2)) == ["n", 8, 9, 3]
    assert fed_shape([3, 8, 9], (2, 0, 1)) == [8, 9, 3]
    assert fed_shape([1, 2], None) == [1, 2]


PREPROCESS = """
[preprocess.image]
from = { dtype = "uint8", layout = "NHWC" }
scale = 0.0625
"""


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (TensorInfo(name="picture", dtype="float32", dims=(1, 1, 8, 8)), "no input 'image'"),
        (TensorInfo(name="image", dtype="int64", dims=(1, 1, 8, 8)), "takes int64"),
        (TensorInfo(name="image", dtype="float32", dims=(1, 64)), "has 4 axes"),
    ],
)
def test_preprocessing_that_does_not_fit_the_model(
    project_file: Path, project_text: str, info: TensorInfo, message: str
) -> None:
    project_file.write_text(project_text + PREPROCESS)
    with pytest.raises(UsageError, match=message):
        preprocess_of(load_project(project_file, {}), [info])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[preprocess.picture]", "preprocess.picture: found 'picture', which is not defined"),
        ('[preprocess.image]\nfrom = { layout = "HWC" }', "has 4 dimensions"),
        ("[preprocess.image]\nmean = [0.1, 0.2]", "found 2 numbers; expected 1"),
        ("[preprocess.image]\nstd = [0.0]", "preprocess.image.std"),
        ("[preprocess.image]\nscale = 0", "preprocess.image.scale"),
        ('[preprocess.image]\nfrom = { dtype = "uint3" }', "preprocess.image.from.dtype"),
        ("[preprocess.image]\nfactor = 2", "unknown key"),
    ],
)
def test_mistakes_in_the_project_file(
    project_file: Path, project_text: str, table: str, message: str
) -> None:
    project_file.write_text(f"{project_text}\n{table}\n")
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {})
    assert message in str(caught.value)


def test_the_example_in_the_docs_is_right(project_file: Path, project_text: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    (table,) = [block for block in blocks if block.startswith("[preprocess.")]
    colour = project_text.replace('["batch", 1, 8, 8]', '["batch", 3, 8, 8]')
    project_file.write_text(f"{colour}\n{table}")
    info = TensorInfo(name="image", dtype="float32", dims=("batch", 3, 8, 8))
    steps = preprocess_of(load_project(project_file, {}), [info])["image"]
    assert steps == IMAGENET


def quantized(path: Path, steps: Preprocess) -> onnx.ModelProto:
    """The conv model with `steps`, its Conv between QuantizeLinear and DequantizeLinear."""
    conv_model(path)
    adapt(path, {"image": steps}, {})
    model = onnx.load(path)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    for name, value in (("s", np.float32(0.01)), ("z", np.uint8(128))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    q = helper.make_node("QuantizeLinear", [conv.input[0], "s", "z"], ["q"])
    dq = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"])
    conv.input[0] = "dq"
    at = list(model.graph.node).index(conv)
    model.graph.node.insert(at, dq)
    model.graph.node.insert(at, q)
    return model


def test_a_whole_zero_point_lets_the_first_layer_read_the_fed_integers(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = quantized(path, CENTERED)
    assert [n.op_type for n in head_nodes(model)] == ["Transpose", "Cast", "Mul", "Add"]
    frame = np.random.default_rng(1).integers(0, 256, (2, 6, 5, 3), np.uint8)
    expected = run(path, {"image": frame})
    assert feed_integers(model) == 1
    assert [n.op_type for n in model.graph.node] == [
        "Transpose", "DequantizeLinear", "Conv", "Relu",
    ]  # fmt: skip
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    assert set(constants) == {"w", "image_fed_scale", "image_fed_zero_point"}
    assert constants["image_fed_zero_point"] == np.uint8(127)
    assert constants["image_fed_scale"] == np.float32(1 / 128)
    onnx_file.save(model, path)
    onnx.checker.check_model(str(path), full_check=True)
    np.testing.assert_allclose(run(path, {"image": frame}), expected, rtol=0, atol=1e-5)


def test_other_preprocessing_stays_as_it_is(tmp_path: Path) -> None:
    for steps in (
        IMAGENET,  # a scale for each channel
        Preprocess(  # half a step off a whole zero point
            dtype="uint8", permutation=None, scale=1.0, mean=(127.5,), std=(1.0,), to="float32"
        ),
        Preprocess(  # a zero point that no byte holds
            dtype="uint8", permutation=None, scale=1.0, mean=(-9.0,), std=(1.0,), to="float32"
        ),
    ):
        model = quantized(tmp_path / "model.onnx", steps)
        before = model.SerializeToString(deterministic=True)
        assert feed_integers(model) == 0
        assert model.SerializeToString(deterministic=True) == before


def test_a_head_whose_floats_are_used_elsewhere_is_not_folded(tmp_path: Path) -> None:
    model = quantized(tmp_path / "model.onnx", CENTERED)
    q = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    extra = helper.make_node("Identity", [q.input[0]], ["floats"])
    model.graph.node.append(extra)
    model.graph.output.append(helper.make_tensor_value_info("floats", TensorProto.FLOAT, None))
    assert feed_integers(model) == 0


def test_a_float_input_has_no_head(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    conv_model(path)
    assert head_nodes(onnx.load(path)) == []
