"""One process tries all exporters; one that ends it does not take the others with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from in_process import export_here, write_project

pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")

CODE = """import os
import torch
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if torch.compiler.is_exporting():
            os.abort()
        return x * 2


def build():
    return Net()
"""


def test_a_crash_of_one_exporter_leaves_the_other(tmp_path: Path) -> None:
    inputs = '[model.inputs.x]\nshape = ["batch", 4]\n'
    exported = export_here(write_project(tmp_path / "project", CODE, inputs=inputs))
    crashed, taken = exported.value.attempts
    assert (crashed.mode, crashed.taken) == ("export", False)
    assert "it ended the process" in crashed.reason and "SIGABRT" in crashed.reason
    assert (taken.mode, taken.taken) == ("trace", True)
