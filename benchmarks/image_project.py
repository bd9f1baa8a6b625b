"""A project of one network for images, which several benchmarks export."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from edgesmith.quantize.prepare import prepare

PROJECT = """schema = 1
[model]
name = "{name}"
source = "model.py:build"
[model.inputs.image]
shape = ["batch", 3, 224, 224]
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
    (folder / "edgesmith.toml").write_text(PROJECT.format(name=name))


def prepared_model(folder: Path, source: Path) -> Path:
    """The network in FP32, cleaned up, as calibration runs it."""
    write_project(folder, source)
    subprocess.run([sys.executable, "-m", "edgesmith", "-q", "simplify"], cwd=folder, check=True)
    prepare(folder / "build/one/simplify/model.onnx", folder / "prepared.onnx")
    return folder / "prepared.onnx"
