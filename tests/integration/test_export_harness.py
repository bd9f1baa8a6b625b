"""The C++ harness takes what PyTorch models take: integers, booleans, scalars, nested state."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from edgesmith.worker.model_source import load_source
from edgesmith.worker.probes import draw
from edgesmith.worker.tensors import SamplesWriter
from in_process import export_here, write_project
from workbench import Edgesmith

pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")
pytestmark = pytest.mark.usefixtures("worker_here")

CODE = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(100, 16)
        self.rnn = nn.LSTM(16, 8, batch_first=True)

    def forward(self, ids, mask, scale, state):
        hidden = self.words(ids) * mask.unsqueeze(-1) * scale
        hidden, (h, c) = self.rnn(hidden, (state["h"], state["c"]))
        return {"hidden": hidden, "state": {"h": h, "hits": (ids * mask).sum(-1)}}


def build():
    torch.manual_seed(0)
    state = {"h": torch.zeros(1, 2, 8), "c": torch.zeros(1, 2, 8)}
    ids = torch.arange(10).reshape(2, 5) * 9
    return Net(), (ids, ids > 30, torch.tensor(0.5), state)
"""


def test_the_harness_answers_as_pytorch_does(
    built: Edgesmith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_project(tmp_path / "project", CODE)
    exported = export_here(file)
    monkeypatch.syspath_prepend(file.parent)
    with contextlib.chdir(file.parent):
        source = load_source("model.py:build", [])
    del sys.modules["model"]
    samples = file.parent / "samples.safetensors"
    writer = SamplesWriter(samples)
    names = [leaf.name for leaf in source.interface.leaves]
    assert names == ["ids", "mask", "scale", "state_h", "state_c"]
    for seed in range(3):
        arrays = draw(source.interface.leaves, {}, seed=seed)
        outputs = source.interface.call(source.module, arrays)
        tensors = {f"inputs/{n}": a for n, a in zip(names, arrays, strict=True)}
        writer.add(tensors | {f"outputs/{n}": a for n, a in outputs.items()})
    writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
    harness = built.folder / "build/digits/host/bundle/bin/harness"
    done = subprocess.run(
        [harness, "verify", "--model", exported.path, "--samples", samples],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("hidden", "state_h_2", "state_hits"):
        assert f'output "{name}"' in done.stdout
