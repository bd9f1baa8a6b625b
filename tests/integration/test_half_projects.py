"""FP16 of projects: judged by what a GPU gives, whatever a CPU makes of the file."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from half_files import matmul, node, of_rows
from int8_files import drawn
from workbench import Edgesmith

PROJECT = """schema = 1
[model]
name = "squares"
source = "model.onnx"
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
metrics = ["cosine"]
[quantize]
precision = "fp16"
[targets.gpu]
platform = "linux-x86_64-cuda"
"""
DATA = """import numpy as np


def rows(scale):
    for row in np.random.default_rng(0).normal(size=(20, 1, 16)):
        yield {"x": (scale * row).astype(np.float32)}


def calibration():
    yield from rows(SEEN)


def evaluation():
    yield from rows(200)
"""


@pytest.fixture
def project(tmp_path: Path, session_cache: Path) -> Edgesmith:
    """Squares that FP16 holds for the calibration data and not for those of the evaluation."""
    weights = {"w": drawn(16, 16, seed=1), "v": drawn(16, 16, seed=2)}
    nodes = [matmul("a", "x"), node("Mul", ["a", "a"], ["b"], name="square"), matmul("y", "b", "v")]
    onnx.save(of_rows(nodes, weights), tmp_path / "model.onnx")
    (tmp_path / "edgesmith.toml").write_text(PROJECT)
    (tmp_path / "data.py").write_text(DATA.replace("SEEN", "1"))
    return Edgesmith(folder=tmp_path, cache=session_cache)


def test_an_overflow_that_calibration_does_not_show_is_no_agreement(project: Edgesmith) -> None:
    done = project("quantize", "--target", "gpu")
    assert done.code == 3
    assert "in FP16: " in done.err and "not finite" in done.err
    assert "let data.calibration yield samples like these" in done.err


def test_what_calibration_shows_stays_in_float_and_is_named(project: Edgesmith) -> None:
    (project.folder / "data.py").write_text(DATA.replace("SEEN", "200"))
    done = project.ok("quantize", "--target", "gpu")
    assert "stay in FP32: " in done.err and "beyond a quarter of FP16's 65504" in done.err
    report = json.loads((project.folder / "build/squares/gpu/quantize/report.json").read_text())
    assert report["half"]["kept_in_float"] > 0
    assert report["tried"][0]["accuracy_loss"] < 0.01
