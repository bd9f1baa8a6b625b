"""A model so small that its conversions cost more than integers save."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgesmith.report.schema import load_report
from workbench import QUICK, Edgesmith, edit_project

# As near to the labels as one layer comes, by least squares.
ONE_LAYER = """import numpy as np
import torch
from sklearn.datasets import load_digits


def build():
    digits = load_digits()
    pixels = np.c_[digits.data / 16, np.ones(len(digits.data))]
    wanted = np.eye(10)[digits.target]
    found = np.linalg.lstsq(pixels, wanted, rcond=None)[0].astype(np.float32)
    layer = torch.nn.Linear(64, 10)
    layer.weight.data = torch.from_numpy(found[:-1].T.copy())
    layer.bias.data = torch.from_numpy(found[-1].copy())
    return torch.nn.Sequential(torch.nn.Flatten(), layer)
"""


@pytest.fixture(scope="module")
def project(built: Edgesmith, tmp_path_factory: pytest.TempPathFactory) -> Edgesmith:
    folder = tmp_path_factory.mktemp("slower") / "digits"
    shutil.copytree(built.folder, folder, symlinks=True)
    (folder / "model.py").write_text(ONE_LAYER)
    edit_project(folder, '"local"', f'"local"\nroot = "{folder.parent / "device"}"')
    longer = {"EDGESMITH_BENCH__MIN_SECONDS": "0.5", "EDGESMITH_BENCH__PROCESSES": "5"}
    edgesmith = Edgesmith(folder=folder, cache=built.cache, environment={**QUICK, **longer})
    edgesmith.ok("build")
    edgesmith.ok("flash")
    return edgesmith


def test_the_report_says_to_ship_fp32(project: Edgesmith) -> None:
    result = project.ok("bench", "--format", "json")
    (device,) = result.json()["devices"]
    report = load_report(Path(device["file"]))
    decision = report["decision"]
    assert (decision["outcome"], decision["ship"]) == ("ship-baseline", "fp32")
    assert decision["faster"] is False
    assert "int8 is not faster" in decision["reason"]
    (comparison,) = report["comparisons"]
    assert comparison["speedup"]["value"] < 1
    text = project.ok("report").out
    assert "ship fp32" in text.lower()
    assert "int8 is not faster" in text
