"""Mistakes that would give a wrong result without a word, were they not looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgesmith.data.given_outputs import take_given_outputs
from edgesmith.data.samples import Samples
from edgesmith.errors import ModelError, UsageError
from edgesmith.project.load import load_project
from edgesmith.quantize.metrics import _require_one_row
from edgesmith.quantize.prepare import refuse_quantized
from edgesmith.stages import StageResult
from edgesmith.values import ExportedModel, OnnxFile, SampleSet, TensorInfo
from edgesmith.worker.declared import from_declared
from edgesmith.worker.failures import WorkerFailure
from edgesmith.worker.tensors import SamplesWriter


class TwoInputs:
    """Stands for a module: only forward()'s signature is looked at."""

    def forward(self, left: Any, right: Any = None, scale: Any = 1.0) -> Any:
        return left


def bound(*names: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What forward() gets when each input's value is its name."""
    declared = [
        {"name": n, "shape": [1], "dtype": None, "argument": None, "range": None} for n in names
    ]
    return from_declared(TwoInputs(), declared, "model.py:build").bind(names)


def test_inputs_go_to_the_parameters_of_their_names() -> None:
    assert bound("left") == (("left",), {})
    assert bound("right", "left") == (("left", "right"), {})
    assert bound("left", "scale") == (("left",), {"scale": "scale"})


def test_inputs_of_other_names_go_by_position() -> None:
    assert bound("a", "b") == (("a", "b"), {})


def test_swapped_or_skipped_inputs_are_refused() -> None:
    with pytest.raises(WorkerFailure, match="forward\\(\\) takes left, right, scale"):
        bound("right", "other")
    with pytest.raises(WorkerFailure, match="missing a required argument: 'left'"):
        bound("right")


def samples(path: Path, name: str, values: list[Any]) -> None:
    writer = SamplesWriter(path)
    for value in values:
        writer.add({f"outputs/{name}": np.asarray(value, np.float32)})
    writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})


def exported() -> ExportedModel:
    logits = TensorInfo(name="logits", dtype="float32", dims=("batch", 3))
    model = OnnxFile(
        path="model.onnx", sha256="", bytes=0, opset=20, ir_version=10, nodes=1,
        inputs=(), outputs=(logits,),
    )  # fmt: skip
    return ExportedModel(
        onnx=model, source_kind="onnx", exporter="none", attempts=(), parity=(), tools={}
    )


def evaluation(folder: Path) -> StageResult[SampleSet]:
    value = SampleSet(
        path="given.safetensors", sha256="", count=2, labelled=False, with_reference=True,
        source="data.py:evaluation",
    )  # fmt: skip
    return StageResult(value=value, folder=folder, key="", cached=False)


def test_the_users_reference_outputs_are_the_reference(tmp_path: Path) -> None:
    samples(tmp_path / "reference.safetensors", "logits", [[[1, 2, 3]], [[4, 5, 6]]])
    samples(tmp_path / "given.safetensors", "logits", [[[9, 0, 0]], [[0, 9, 0]]])
    take_given_outputs(exported(), evaluation(tmp_path), tmp_path / "reference.safetensors")
    kept = Samples(tmp_path / "reference.safetensors")
    assert kept.group("outputs/", 1)["logits"].tolist() == [[0, 9, 0]]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "given.safetensors", "reference.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("nope", [[1, 2, 3]], "output 'nope'"), ("logits", [[1, 2]], "has the shape \\[1, 2\\]")],
)
def test_reference_outputs_that_do_not_fit(
    tmp_path: Path, name: str, value: Any, said: str
) -> None:
    samples(tmp_path / "reference.safetensors", "logits", [[[1, 2, 3]], [[4, 5, 6]]])
    samples(tmp_path / "given.safetensors", name, [value, value])
    with pytest.raises(ModelError, match=said):
        take_given_outputs(exported(), evaluation(tmp_path), tmp_path / "reference.safetensors")


def test_one_label_judges_one_row() -> None:
    _require_one_row(np.zeros((1, 5)))
    _require_one_row(np.zeros(5))
    with pytest.raises(ModelError, match="more than one row"):
        _require_one_row(np.zeros((4, 5)))


def test_a_quantized_model_is_not_quantized_again() -> None:
    node = helper.make_node("DequantizeLinear", ["x", "s"], ["y"])
    graph = helper.make_graph(
        [node], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )
    with pytest.raises(ModelError, match="quantized already: it has DequantizeLinear"):
        refuse_quantized(helper.make_model(graph))


def test_the_name_of_a_package_inside_the_bundle(project_file: Path, project_text: str) -> None:
    project_file.write_text(project_text.replace('name = "tiny"', 'name = "onnxruntime"'))
    with pytest.raises(UsageError, match="no package inside the bundle"):
        load_project(project_file, {})


def test_a_byte_order_mark_is_no_mistake(project_file: Path, project_text: str) -> None:
    project_file.write_bytes(b"\xef\xbb\xbf" + project_text.encode())
    assert load_project(project_file, {}).settings.model.name == "tiny"
