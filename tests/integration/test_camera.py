"""What the camera gives: in the graph as in PyTorch, and through build, flash and bench."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from workbench import ROOT, Edgesmith

EFFICIENTNET = ROOT / "examples" / "efficientnet-lite0"
FRAMES = 8
# The error of the float-input export is the yardstick: the preprocessing may add this share.
MAX_ERROR_RATIO = 1.2


def export(folder: Path, cache: Path, *, preprocess: bool) -> Path:
    """The exported model of a copy of the example, with or without its [preprocess]."""
    shutil.copytree(EFFICIENTNET, folder, ignore=shutil.ignore_patterns("build", "reports"))
    file = folder / "edgesmith.toml"
    text = file.read_text()
    start, end = text.index("[preprocess.image]"), text.index("[data]")
    if not preprocess:
        file.write_text(text[:start] + text[end:])
    Edgesmith(folder=folder, cache=cache).ok("export")
    return folder / "build" / "efficientnet-lite0" / "export" / "model.onnx"


def evaluation_frames(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], Any]:
    """The first evaluation frames, and the network in PyTorch."""
    monkeypatch.syspath_prepend(str(folder))
    for name in ("data", "crops", "model"):
        sys.modules.pop(name, None)
    import data
    import model

    samples = data.evaluation()
    frames = [next(samples)[0]["image"] for _ in range(FRAMES)]
    network = model.build().eval()
    for name in ("data", "crops", "model"):
        sys.modules.pop(name, None)
    return frames, network


def test_the_graph_is_as_near_to_pytorch_as_the_float_export(
    tmp_path: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    camera = onnxruntime.InferenceSession(
        str(export(tmp_path / "camera", session_cache, preprocess=True))
    )
    floats = onnxruntime.InferenceSession(
        str(export(tmp_path / "floats", session_cache, preprocess=False))
    )
    assert camera.get_inputs()[0].type == "tensor(uint8)"
    frames, network = evaluation_frames(tmp_path / "camera", monkeypatch)
    camera_error = float_error = 0.0
    for frame in frames:
        prepared = (torch.from_numpy(frame.copy()).permute(0, 3, 1, 2).float() - 127) / 128
        with torch.inference_mode():
            reference = network(prepared).numpy()
        from_camera = camera.run(None, {"image": np.ascontiguousarray(frame)})[0]
        from_floats = floats.run(None, {"image": prepared.contiguous().numpy()})[0]
        camera_error = max(camera_error, np.abs(from_camera - reference).max())
        float_error = max(float_error, np.abs(from_floats - reference).max())
    assert 0 < float_error < 1e-3
    assert camera_error <= MAX_ERROR_RATIO * float_error


CAMERA_DATA = '''
"""Digits as bytes, in groups of ten."""

import data as floats
import numpy as np


def as_bytes(image):
    return np.round(image.transpose(0, 2, 3, 1) * 16).astype(np.uint8)


def calibration():
    for sample in floats.calibration():
        yield {"image": as_bytes(sample["image"])}


def evaluation():
    for index, (sample, label) in enumerate(floats.evaluation()):
        yield {"image": as_bytes(sample["image"])}, label, index // 10
'''
PREPROCESS = """
[preprocess.image]
from = { dtype = "uint8", layout = "NHWC" }
scale = 0.0625
"""


def test_a_device_takes_the_cameras_bytes(digits: Edgesmith, tmp_path: Path) -> None:
    folder = digits.folder
    (folder / "camera.py").write_text(CAMERA_DATA)
    file = folder / "edgesmith.toml"
    text = file.read_text().replace('"data.py:', '"camera.py:') + PREPROCESS
    file.write_text(text.replace("min_seconds = 3", "min_seconds = 0.1"))
    assert tomllib.loads(file.read_text())["data"]["calibration"] == "camera.py:calibration"
    quick = {"EDGESMITH_DEVICES__DESK__ROOT": f'"{tmp_path / "device"}"'}
    edgesmith = Edgesmith(folder=folder, cache=digits.cache, environment=quick)
    edgesmith.ok("run")
    report = json.loads(next((folder / "reports").glob("*.json")).read_text())
    top1 = [next(m for m in run["accuracy"] if m["metric"] == "top1") for run in report["runs"]]
    assert [(m["samples"], m["groups"]) for m in top1] == [(500, 50), (500, 50)]
    assert all(m["value"] > 0.97 for m in top1)
    assert report["comparisons"][0]["accuracy_loss"]["groups"] == 50
    int8 = onnx.load(folder / "build" / "digits" / "host" / "quantize" / "int8.onnx")
    assert not [n for n in int8.graph.node if n.op_type in ("Cast", "Mul")]
