"""What `edgesmith inspect` shows, also of models whose weights lie in other files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from edgesmith.cli.main import main
from edgesmith.errors import ModelError
from edgesmith.model import onnx_file
from edgesmith.model.inspection import inspect_model
from edgesmith.values import PassRecord, SimplifiedModel, write_record

TEXT = """<ir_version: 9, opset_import: ["": 18, "com.microsoft": 1]>
g (float[N, 4] x, bool flag) => (float[N, 2] y) {
    a = MatMul(x, large)
    b = com.microsoft.Gelu(a)
    c = If (flag) <
        then_branch = t () => (float[N, 2] p) { p = Neg(b) },
        else_branch = e () => (float[N, 2] q) { q = Identity(b) }
    >
    d = Concat <axis = 0>(c, c, c, c, c, c, c, c, c, c)
    s = Slice(d, start, end)
    y = LeakyRelu <alpha = 0.25>(s)
}"""


def small() -> onnx.ModelProto:
    model = parser.parse_model(TEXT)
    constants = {
        "start": np.array([0]),
        "end": np.array([3]),
        "large": np.arange(8, dtype=np.float32).reshape(4, 2),
    }
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    return model


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    onnx.save(small(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def split_file(tmp_path: Path) -> Path:
    """The same model with its weights beside it, the largest one last."""
    path = tmp_path / "split.onnx"
    onnx.save_model(
        small(), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    assert (tmp_path / "weights.bin").stat().st_size == 48
    return path


def shown(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    code = main(["inspect", *map(str, words)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_the_graph_has_a_line_for_each_node(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = shown(capsys, model_file, "--graph").partition("\ngraph\n")[2]
    assert graph.splitlines() == [
        "  a: float32 [N, 2] = MatMul(x, large)",
        "  b = com.microsoft.Gelu(a)",
        "  c: float32 [N, 2] = If(flag)",
        "    then_branch() -> p",
        "      p = Neg(b)",
        "    else_branch() -> q",
        "      q = Identity(b)",
        "  d: float32 [?, 2] = Concat(c, c, c, c, c, c, c, c, 2 more) axis=0",
        "  s: float32 [?, 2] = Slice(d, start, end)",
        "  y: float32 [N, 2] = LeakyRelu(s) alpha=0.25",
    ]


def test_lists_are_limited_and_parameters_are_sorted(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, model_file, "--params", "--ops", "--graph", "--limit", "1")
    assert "3 parameters, 48 bytes" in text
    parameters = text.partition("parameters (bytes, dtype, shape, name)\n")[2].splitlines()
    assert parameters[0].split() == ["32", "float32", "[4,", "2]", "large"]
    assert parameters[1] == "  ... 2 more"
    assert text.count(" more") == 3


def test_json_has_the_facts_of_the_text(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(shown(capsys, model_file, "--format", "json"))
    assert [one["name"] for one in found["parameters"]] == ["large", "start", "end"]
    branch = found["nodes"][2]["subgraphs"][0]
    assert (branch["name"], branch["nodes"][0]["op_type"]) == ("then_branch", "Neg")
    assert found["nodes"][5]["attributes"] == [["alpha", "0.25"]]
    assert found["nodes"][0]["types"] == ["float32 [N, 2]"]


def test_the_record_of_the_clean_up_is_shown_for_the_file_it_made(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described = onnx_file.describe(onnx_file.load(model_file), model_file)
    passes = (
        PassRecord(
            name="no-ops", nodes_before=9, nodes_after=6, taken=True, reason="", max_rel_error=0.0
        ),
        PassRecord(
            name="onnxsim", nodes_before=6, nodes_after=6, taken=False, reason="it crashed",
            max_rel_error=None,
        ),
        PassRecord(
            name="shapes", nodes_before=6, nodes_after=6, taken=False, reason="",
            max_rel_error=None,
        ),
    )  # fmt: skip
    record = SimplifiedModel(
        onnx=described, simplified=True, reason="", nodes_before=9, nodes_after=6, parity=(),
        passes=passes,
    )  # fmt: skip
    write_record(tmp_path, record)
    text = shown(capsys, model_file)
    assert text.partition("\nclean-up\n")[2].splitlines() == [
        "  no-ops               9 -> 6 nodes, error 0",
        "  onnxsim              dropped: it crashed",
        "  nothing to do for shapes",
    ]
    other = small()
    other.graph.node[0].name = "another model"
    onnx.save(other, model_file)
    assert "clean-up" not in shown(capsys, model_file)


def test_weights_in_another_file_are_told_but_not_read(
    split_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "load_external_data_for_model", None)
    found = inspect_model(split_file)
    assert [(one.path, one.bytes) for one in found.model.data_files] == [("weights.bin", 48)]
    assert (found.parameters[0].name, found.parameters[0].bytes) == ("large", 32)
    assert found.nodes[0].types == ("float32 [N, 2]",)


def test_weights_in_another_file_are_read_where_they_are_needed(split_file: Path) -> None:
    weight = next(t for t in onnx_file.load(split_file).graph.initializer if t.name == "large")
    assert numpy_helper.to_array(weight).tolist()[3] == [6.0, 7.0]


def gone(weights: Path) -> None:
    weights.unlink()


def cut(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:47])


def linked(weights: Path) -> None:
    weights.rename(weights.with_name("real.bin"))
    weights.symlink_to("real.bin")


def folder(weights: Path) -> None:
    weights.unlink()
    weights.mkdir()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (gone, "'weights.bin' is missing"),
        (cut, "'weights.bin' has 47 bytes, the tensor 'large' ends at 48"),
        (linked, "'weights.bin' lies outside"),
        (folder, "'weights.bin' is missing"),
    ],
)
@pytest.mark.parametrize("data", [True, False])
def test_a_spoilt_file_of_weights_is_named(
    split_file: Path, spoil: object, says: str, data: bool
) -> None:
    assert callable(spoil)
    spoil(split_file.with_name("weights.bin"))
    with pytest.raises(ModelError) as caught:
        onnx_file.load(split_file, data=data)
    assert says in caught.value.what


def test_more_than_two_gigabytes_are_refused_before_they_are_read(
    split_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(split_file, load_external_data=False)
    weight = next(t for t in model.graph.initializer if t.name == "large")
    weight.dims[:] = [1 << 20, 600]
    next(entry for entry in weight.external_data if entry.key == "length").value = str(600 << 22)
    split_file.write_bytes(model.SerializeToString())
    with split_file.with_name("weights.bin").open("r+b") as file:
        # Takes no room on the disk.
        file.truncate(601 << 22)
    monkeypatch.setattr(onnx, "load_external_data_for_model", None)
    with pytest.raises(ModelError, match=r"the model has 2\.5 GB"):
        onnx_file.load(split_file)
    assert inspect_model(split_file).parameters[0].bytes == 600 << 22


def test_netron_that_is_missing_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert main(["inspect", "nowhere.onnx", "--netron"]) == 2
    assert "pipx install netron" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_limit_is_a_number_of_rows(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "nowhere.onnx", "--limit", limit]) == 2
    assert "--limit" in capsys.readouterr().err
