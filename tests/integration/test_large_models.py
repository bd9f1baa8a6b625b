"""A model whose weights one ONNX file can't hold, from its file to a report.

What one file can hold is set low here: the way is the same, and takes seconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.cli.main import main
from edgesmith.model import onnx_file
from workbench import QUICK, Edgesmith

LIMIT_BYTES = 400_000
FEATURES, LAYERS = 160, 7
WEIGHTS_BYTES = 4 * FEATURES * FEATURES * LAYERS
DATA = f"""
import numpy as np
def calibration():
    rng = np.random.default_rng(0)
    for _ in range(4):
        yield {{"x": rng.standard_normal((1, {FEATURES}), np.float32)}}
evaluation = calibration
"""
PROJECT = """schema = 1
[model]
name = "large"
source = "large.onnx"
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
metrics = ["cosine"]
[quantize]
precision = "{precision}"
[targets.host]
platform = "linux-x86_64"
[devices.here]
transport = "local"
target = "host"
root = "{root}"
"""


@dataclass(frozen=True)
class Place:
    """A project with such a model."""

    folder: Path

    def write(self, precision: str = "fp32", more: str = "") -> None:
        text = PROJECT.format(precision=precision, root=self.folder / "device")
        (self.folder / "edgesmith.toml").write_text(text + more)

    def run(self, *words: str) -> tuple[int, str, str]:
        out, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            code = main([*words, "--project", str(self.folder / "edgesmith.toml")])
        return code, out.getvalue(), said.getvalue()

    def json(self, *words: str) -> Any:
        code, out, said = self.run(*words, "--format", "json")
        assert code == 0, said
        return json.loads(out)


def write_model(path: Path) -> None:
    rng = np.random.default_rng(1)
    nodes, weights, value = [], [], "x"
    for layer in range(LAYERS):
        array = rng.standard_normal((FEATURES, FEATURES), np.float32) / FEATURES**0.5
        weights.append(numpy_helper.from_array(array, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [f"m{layer}"]))
        value = f"v{layer}" if layer < LAYERS - 1 else "y"
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [value]))
    shape = ["batch", FEATURES]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin")


@pytest.fixture
def place(tmp_path: Path, built: Edgesmith, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(onnx_file, "MAX_PROTOBUF_BYTES", LIMIT_BYTES)
    monkeypatch.setenv("EDGESMITH_CACHE", str(built.cache))
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    write_model(tmp_path / "large.onnx")
    (tmp_path / "data.py").write_text(DATA)
    made = Place(tmp_path)
    made.write()
    return made


def test_from_the_file_to_a_report(place: Place) -> None:
    simplified = place.json("simplify")["simplify"]
    assert not simplified["simplified"]
    assert "more than the 2 GB" in simplified["reason"]

    place.json("run", "--device", "here")
    bundle = place.folder / "build/large/host/bundle"
    manifest = json.loads((bundle / "manifest.json").read_text())
    (variant,) = manifest["variants"]
    assert variant["data"] == ["model/model.onnx.data"]
    sizes = {one["path"]: one["bytes"] for one in manifest["files"]}
    assert sizes["model/model.onnx.data"] == WEIGHTS_BYTES
    report = json.loads(next((place.folder / "reports").rglob("*.json")).read_text())
    (told,) = report["context"]["bundle"]["variants"]
    assert told["bytes"] == sizes["model/fp32.onnx"] + WEIGHTS_BYTES
    (run,) = report["runs"]
    values = {one["metric"]: one["value"] for one in run["accuracy"]}
    assert values["cosine"] > 0.9999
    size = json.loads((place.folder / "build/large/host/bundle/record.json").read_text())["size"]
    parts = {one["part"]: one["bytes"] for one in size["parts"]}
    assert parts["model fp32"] == told["bytes"]

    weights = next(place.folder.glob("device/**/model.onnx.data"))
    spoilt = bytearray(weights.read_bytes())
    spoilt[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(spoilt)
    code, _, said = place.run("bench", "--device", "here")
    assert code == 7
    assert "model/model.onnx.data is missing or was changed" in said
    harness = weights.parents[1] / "bin" / "harness"
    found = subprocess.run([harness, "verify"], capture_output=True, text=True, check=False)
    assert found.returncode == 7
    assert "model.onnx.data is not the file that the manifest lists" in found.stderr


def test_changed_weights_are_noticed_without_being_told(place: Place) -> None:
    before = place.json("export")["export"]["onnx"]["sha256"]
    weights = place.folder / "weights.bin"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert place.json("export")["export"]["onnx"]["sha256"] != before


def test_preprocessing_is_put_before_it(place: Place) -> None:
    place.write(more="[preprocess.x]\nscale = 0.5\n")
    found = place.json("export")["export"]
    assert found["onnx"]["data_files"] == [{"path": "model.onnx.data", "bytes": WEIGHTS_BYTES}]
    assert all(check["passed"] for check in found["parity"])
    assert found["onnx"]["nodes"] == 2 * LAYERS + 2


def test_integers_are_refused_before_data_is_read(place: Place) -> None:
    place.write(precision="int8")
    (place.folder / "data.py").unlink()
    code, _, said = place.run("quantize")
    assert code == 3
    assert "quantization holds a model in one file" in said
    assert 'set precision = "fp32"' in said


def test_a_32_bit_target_is_refused(place: Place) -> None:
    text = (place.folder / "edgesmith.toml").read_text()
    (place.folder / "edgesmith.toml").write_text(text.replace("linux-x86_64", "linux-armv7"))
    code, _, said = place.run("quantize")
    assert code == 3
    assert "a program of linux-armv7 can't load more than 2 GB" in said


def cut(folder: Path) -> str:
    path = folder / "weights.bin"
    path.write_bytes(path.read_bytes()[:-1])
    return f"'weights.bin' has {WEIGHTS_BYTES - 1} bytes"


def gone(folder: Path) -> str:
    (folder / "weights.bin").unlink()
    return "'weights.bin' is missing"


@pytest.mark.parametrize("spoil", [cut, gone])
def test_spoilt_weights_are_named(place: Place, spoil: Callable[[Path], str]) -> None:
    says = spoil(place.folder)
    code, _, said = place.run("export")
    assert code == 3
    assert says in said
    assert not (place.folder / "build/large/export/model.onnx").exists()
