"""A project of one network for images, which several benchmarks export."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgesmith.quantize.prepare import prepare

SHAPE = ("batch", 3, 224, 224)
PROJECT = """schema = 1
[model]
name = "{name}"
source = "model.py:build"
[model.inputs.image]
shape = {shape}
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
[targets.host]
platform = "linux-x86_64"
"""


def write_project(folder: Path, source: Path, *, name: str = "one") -> None:
    """Makes `folder` a project of the network that `source` builds."""
    folder.mkdir()
    shutil.copyfile(source, folder / "model.py")
    _write_settings(folder, name, SHAPE)


def _write_settings(folder: Path, name: str, shape: Sequence[str | int]) -> None:
    text = PROJECT.format(name=name, shape=json.dumps(list(shape)))
    (folder / "edgesmith.toml").write_text(text)


def prepared_model(folder: Path, source: Path) -> Path:
    """The network in FP32, cleaned up, as calibration runs it."""
    write_project(folder, source)
    return _prepared(folder)


def prepared_file(folder: Path, *, shape: Sequence[str | int]) -> Path:
    """The same of a folder whose model.py is there."""
    _write_settings(folder, "one", shape)
    return _prepared(folder)


def _prepared(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "edgesmith", "-q", "simplify"], cwd=folder, check=True)
    prepare(folder / "build/one/simplify/model.onnx", folder / "prepared.onnx")
    return folder / "prepared.onnx"
