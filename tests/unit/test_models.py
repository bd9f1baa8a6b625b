from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgesmith.errors import ModelError
from edgesmith.model import numeric, onnx_file
from edgesmith.model.inspection import inspect_model
from edgesmith.values import (
    ExportedModel,
    OnnxFile,
    ParityCheck,
    TensorInfo,
    from_record,
    to_record,
)


def small_model() -> onnx.ModelProto:
    """y = relu(x @ w) for x of [batch, 2]."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 3], range(6))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="mul"),
        helper.make_node("Relu", ["m"], ["y"], name="act"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx_file.save(small_model(), path)
    return path


def test_a_model_is_described(model_file: Path) -> None:
    facts = onnx_file.describe(onnx_file.load(model_file), model_file)
    assert (facts.opset, facts.ir_version, facts.nodes) == (20, 10, 2)
    assert facts.inputs == (TensorInfo(name="x", dtype="float32", dims=("batch", 2)),)
    assert from_record(OnnxFile, to_record(facts)) == facts


def test_traces_of_the_exporter_are_stripped() -> None:
    model = small_model()
    model.graph.node[0].doc_string = "/home/alice/model.py:3"
    entry = model.graph.node[0].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.stack_trace", 'File "/home/alice/model.py"'
    model.doc_string = "/home/alice"
    onnx_file.strip_traces(model)
    assert b"alice" not in model.SerializeToString()
    assert model == small_model()


@pytest.mark.parametrize("keep", [0, 1, 10, 60])
def test_a_truncated_file_is_refused_by_name(model_file: Path, keep: int) -> None:
    model_file.write_bytes(model_file.read_bytes()[:keep])
    with pytest.raises(ModelError) as caught:
        onnx_file.load(model_file)
    assert caught.value.where == str(model_file)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../b"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    model = small_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError):
        onnx_file.load(path)


def test_comparison_finds_errors_shapes_and_nan() -> None:
    def check(found: np.ndarray, wanted: np.ndarray | None = None) -> ParityCheck:
        base = np.array([1.0, -4.0], np.float32) if wanted is None else wanted
        return numeric.compare({"y": base}, {"y": found}, against="a", inputs="b", sizes={})

    same = np.array([1.0, -4.0], np.float32)
    assert check(same).passed
    off = check(same + np.float32(0.004))
    assert not off.passed
    assert off.max_rel_error == pytest.approx(0.001, rel=1e-3)
    assert not check(same.reshape(1, 2)).passed
    assert not check(same.astype(np.float64)).passed
    assert not check(np.array([1.0, np.nan], np.float32)).passed
    nan = np.array([np.nan, 1.0], np.float32)
    assert check(nan, nan).passed
    assert not numeric.compare({"y": same}, {}, against="a", inputs="b", sizes={}).passed


def test_the_worst_check_is_a_failed_one() -> None:
    def one(error: float, passed: bool) -> ParityCheck:
        return ParityCheck(
            against="a", inputs="b", sizes={}, max_abs_error=error, max_rel_error=error,
            tolerance_rel=1.0, passed=passed,
        )  # fmt: skip

    assert numeric.worst((one(0.5, True), one(0.0, False), one(0.9, True))).passed is False


def test_a_session_answers_and_refuses_wrong_shapes(model_file: Path) -> None:
    session = numeric.open_session(model_file)
    found = numeric.run_session(session, {"x": np.ones((1, 2), np.float32)}, shown_as="m")
    assert found["y"].tolist() == [[3.0, 5.0, 7.0]]
    with pytest.raises(ModelError, match=r"\[1, 3\]"):
        numeric.run_session(session, {"x": np.ones((1, 3), np.float32)}, shown_as="m")


def test_inspection_counts_and_sizes(model_file: Path) -> None:
    found = inspect_model(model_file)
    assert found.operators == {"MatMul": 1, "Relu": 1}
    assert [(p.name, p.shape, p.bytes) for p in found.parameters] == [("w", (2, 3), 24)]
    assert (found.weighted_operators, found.weighted_in_int8) == (1, 0)
    assert found.in_float == ("mul (MatMul)",)


def test_values_survive_their_records() -> None:
    facts = OnnxFile(
        path="m", sha256="0", bytes=1, opset=20, ir_version=10, nodes=1,
        inputs=(TensorInfo(name="x", dtype="float32", dims=("n", 1)),), outputs=(),
    )  # fmt: skip
    value = ExportedModel(
        onnx=facts, source_kind="torch", exporter="dynamo", attempts=(), parity=(),
        tools={"torch": "2"},
    )  # fmt: skip
    assert from_record(ExportedModel, to_record(value)) == value
