"""Sample folders in ONNX's form: the verdict of ONNX's own expected outputs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgesmith.cache import Cache
from edgesmith.data.samples import Samples
from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.pipeline import Pipeline
from edgesmith.project.load import load_project
from edgesmith.quantize.metrics import Evaluation, evaluate
from edgesmith.stages import Context
from edgesmith.values import SessionOptions
from in_process import serve_in_process

DATA = Path(onnx.__file__).parent / "backend/test/data"
# With weights and without, one input and several, float and int64, of ranks 1 to 6; of onnx's
# models those that ONNX Runtime still has operators for.
KNOWN = (
    "pytorch-converted/test_Conv2d_depthwise_with_multiplier",
    "pytorch-converted/test_ConvTranspose2d",
    "pytorch-converted/test_Embedding",
    "pytorch-converted/test_Linear_no_bias",
    "pytorch-converted/test_PixelShuffle",
    "pytorch-converted/test_softmax_lastdim",
    "pytorch-operator/test_operator_chunk",
    "pytorch-operator/test_operator_concat2",
    "pytorch-operator/test_operator_maxpool",
    "pytorch-operator/test_operator_permute2",
    "simple/test_expand_shape_model3",
    "simple/test_shrink",
    "simple/test_sign_model",
    "simple/test_single_relu_model",
)
PROJECT = """schema = 1
[model]
name = "known"
source = "model.onnx"
[data]
calibration = "{data}"
evaluation = "{data}"
metrics = ["max_abs_error"]
[targets.host]
platform = "linux-x86_64"
"""


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    serve_in_process(monkeypatch)


def pipeline(folder: Path, name: str, data: str = "test_data_set_*") -> Pipeline:
    """A project of one of onnx's models with its own samples, in `folder`."""
    shutil.copytree(DATA / name, folder, dirs_exist_ok=True)
    (folder / "edgesmith.toml").write_text(PROJECT.replace("{data}", data))
    context = Context(events=EventStream(), cache=Cache(folder / "cache"))
    return Pipeline(project=load_project(folder / "edgesmith.toml", {}), context=context)


@pytest.mark.parametrize("name", KNOWN)
def test_the_verdict_on_onnx_models_is_that_of_their_own_outputs(tmp_path: Path, name: str) -> None:
    work = pipeline(tmp_path / "right", name)
    samples, reference, model = work.evaluation(), work.reference(), work.exported()
    assert (samples.value.count, samples.value.expected) == (1, True)
    (worst,) = evaluate(
        model.folder / model.value.onnx.path,
        SessionOptions(),
        Evaluation(
            samples=samples.folder / samples.value.path,
            reference=reference.folder / reference.value.samples.path,
            metrics=("max_abs_error",),
        ),
    )
    largest = max(float(np.abs(value).max()) for value in expected(tmp_path / "right"))
    assert worst.value <= 1e-3 * largest + 1e-7

    altered = pipeline(tmp_path / "wrong", name)
    alter(tmp_path / "wrong/test_data_set_0/output_0.pb")
    with pytest.raises(ModelError, match="sample 0: the model does not give the expected output"):
        altered.reference()


def expected(project: Path) -> list[np.ndarray]:
    files = (project / "test_data_set_0").glob("output_*.pb")
    return [numpy_helper.to_array(onnx.load_tensor(file)) for file in files]


def alter(file: Path) -> None:
    """Changes one value of a tensor by more than is allowed."""
    value = numpy_helper.to_array(onnx.load_tensor(file)).copy()
    value.reshape(-1)[-1] += np.array(max(1, abs(value.reshape(-1)[-1])) / 100, value.dtype)
    file.write_bytes(numpy_helper.from_array(value).SerializeToString())


def tensor(*values: float, kind: str = "float32", rank: int = 1) -> bytes:
    array = np.array(values, kind).reshape((1,) * (rank - 1) + (-1,))
    return bytes(numpy_helper.from_array(array).SerializeToString())


RELU = "simple/test_single_relu_model"
SHAPE = (1, 2)


def test_the_data_of_the_test_is_what_it_takes_it_for(tmp_path: Path) -> None:
    pipeline(tmp_path, RELU)
    assert [value.shape for value in expected(tmp_path)] == [SHAPE]


@pytest.mark.parametrize("data", [".", "test_data_set_0", "test_data_set_*", "*"])
def test_a_folder_of_sets_one_set_and_a_pattern_are_the_same(tmp_path: Path, data: str) -> None:
    work = pipeline(tmp_path, RELU, data if data != "*" else "test_data_*")
    assert work.evaluation().value.count == work.calibration().value.count == 1
    assert not work.calibration().value.expected


def test_sets_come_by_their_number(tmp_path: Path) -> None:
    work = pipeline(tmp_path, RELU, ".")
    for number in (2, 10, 1):
        folder = tmp_path / f"test_data_set_{number}"
        folder.mkdir()
        (folder / "input_0.pb").write_bytes(tensor(number, -number, rank=2))
        (folder / "output_0.pb").write_bytes(tensor(number, 0, rank=2))
    samples = work.evaluation()
    found = Samples(samples.folder / samples.value.path).whole("inputs/x")
    assert [float(one[0, 0]) for one in found[1:]] == [1.0, 2.0, 10.0]
    assert work.reference().value.samples.count == 4


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def holding(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def cut(folder: Path) -> None:
    file = folder / "input_0.pb"
    file.write_bytes(file.read_bytes()[:-3])


def elsewhere() -> bytes:
    one = TensorProto(data_type=TensorProto.FLOAT, dims=SHAPE, data_location=TensorProto.EXTERNAL)
    one.external_data.add(key="location", value="/etc/passwd")
    return bytes(one.SerializeToString())


SEQUENCE = numpy_helper.from_list([np.zeros(SHAPE, np.float32)]).SerializeToString()
OPTIONAL = numpy_helper.from_optional(np.zeros(SHAPE, np.float32)).SerializeToString()
TEXT = numpy_helper.from_array(np.array(["a"], object)).SerializeToString()
MALFORMED = {
    "no output": (without("output_0.pb"), "has no output_N.pb; the model has 1 outputs"),
    "an input too many": (
        holding("input_1.pb", tensor(1)), "has input_0.pb, input_1.pb; the model has 1 inputs"
    ),
    "an output too many": (
        holding("output_2.pb", tensor(1)), "has output_0.pb, output_2.pb; the model has 1 outputs"
    ),
    "an input of another type": (
        holding("input_0.pb", tensor(1, 2, kind="int64", rank=2)), "is int64, the model takes"
    ),
    "an output of another type": (
        holding("output_0.pb", tensor(1, 2, kind="float64", rank=2)), "expected to be float64"
    ),
    "an input of another shape": (holding("input_0.pb", tensor(1, 2, 3)), "has the shape [3]"),
    "an output of another shape": (
        holding("output_0.pb", tensor(1, 2, 3)), "has the shape [3], the model's output [1, 2]"
    ),
    "an output that is NaN": (
        holding("output_0.pb", tensor(np.nan, 2, rank=2)), "no array of finite numbers"
    ),
    "a file cut short": (cut, "input_0.pb' can't be read as a tensor"),
    "an empty file": (holding("input_0.pb", b""), "it names no element type"),
    "noise": (holding("input_0.pb", bytes(range(256))), "input_0.pb' can't be read as a tensor"),
    "a sequence": (holding("input_0.pb", SEQUENCE), "a sequence or an optional value"),
    "an optional value": (holding("output_0.pb", OPTIONAL), "a sequence or an optional value"),
    "text": (holding("input_0.pb", TEXT), "it holds text"),
    "data in another file": (holding("input_0.pb", elsewhere()), "its data lies in another file"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_set_is_refused_by_name(tmp_path: Path, name: str) -> None:
    spoil, says = MALFORMED[name]
    work = pipeline(tmp_path, RELU)
    spoil(tmp_path / "test_data_set_0")
    with pytest.raises(ModelError) as caught:
        work.reference()
    assert says in caught.value.what
    assert "data.evaluation" in str(caught.value.where)


def test_files_and_sets_are_not_mixed(tmp_path: Path) -> None:
    work = pipeline(tmp_path, RELU, "*_0*")
    np.savez(tmp_path / "more_0.npz", x=np.zeros(SHAPE, np.float32))
    with pytest.raises(ModelError, match="mixed"):
        work.evaluation()
