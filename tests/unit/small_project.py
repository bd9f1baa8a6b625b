"""A small project whose source is an ONNX file, and its commands run in this process."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from device_world import write_bundle

from edgesmith.cli.main import main

PROJECT_FILE = """schema = 1
[model]
name = "digits"
version = "1.0.0"
source = "model.onnx"
[model.inputs.image]
shape = ["batch", 1, 8, 8]
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
calibration_samples = 8
evaluation_samples = 8
metrics = ["top1"]
[quantize]
accuracy_budget = 1.0
[targets.host]
platform = "linux-x86_64"
[devices.desk]
target = "host"
transport = "local"
root = "{root}"
"""
DATA = """import numpy as np


def image(seed):
    return {"image": np.random.default_rng(seed).random((1, 1, 8, 8), np.float32)}


def calibration():
    for seed in range(8):
        yield image(seed)


def evaluation():
    for seed in range(8):
        yield image(seed), seed
"""


def write_model(path: Path) -> None:
    """A classifier of one layer with ten classes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).standard_normal((64, 10)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"], name="flatten"),
            helper.make_node("Gemm", ["flat", "weights"], ["logits"], name="classify"),
        ],
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)


def write_project(folder: Path) -> Path:
    """The project with a bundle that flash and bench would take; returns its folder."""
    project = folder / "my project"
    project.mkdir()
    root = folder / "device"
    (project / "edgesmith.toml").write_text(PROJECT_FILE.replace("{root}", str(root)))
    (project / "data.py").write_text(DATA)
    write_model(project / "model.onnx")
    write_bundle(project / "build/digits/host/bundle")
    return project


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


def call(project: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """Runs a command in the project's folder, in this process."""
    with contextlib.chdir(project):
        code = main([word.replace("{project}", str(project)) for word in words])
    captured = capsys.readouterr()
    return Said(code=code, out=captured.out, err=captured.err)
