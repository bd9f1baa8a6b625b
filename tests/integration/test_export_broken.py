"""Exports that are broken on purpose are caught; the other exporter wins, or the place is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgesmith.errors import ModelError
from edgesmith.worker import exporters
from in_process import Exported, export_here, write_project

pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")
pytestmark = pytest.mark.usefixtures("worker_here")

CODE = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 6)

    def forward(self, x):
        hidden = self.first(x).relu()
        return self.second(hidden.reshape(x.shape[0], 6)).tanh() * 2


def build():
    torch.manual_seed(0)
    return Net()
"""
INPUTS = '[model.inputs.x]\nshape = ["batch", 4]\nsizes = { batch = [1, 6] }\n'
Damage = Callable[[onnx.ModelProto], None]


def wrong_constant(model: onnx.ModelProto) -> None:
    """The second layer's bias is moved."""
    bias = next(one for one in model.graph.initializer if one.name.endswith("second.bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.5), bias.name))


def fixed_batch(model: onnx.ModelProto) -> None:
    """Behind the first layer only the batch of the example fits."""
    shape = numpy_helper.from_array(np.array([6, 6], np.int64), "fixed_shape")
    model.graph.initializer.append(shape)
    last = model.graph.node[-1]
    between = helper.make_node("Reshape", [last.input[0], "fixed_shape"], ["fixed"], name="fix")
    last.input[0] = "fixed"
    model.graph.node.insert(len(model.graph.node) - 1, between)


def fixed_input(model: onnx.ModelProto) -> None:
    """The input says that there is no other batch."""
    dim = model.graph.input[0].type.tensor_type.shape.dim[0]
    dim.Clear()
    dim.dim_value = 6


def transposed_output(model: onnx.ModelProto) -> None:
    """Right for one sample of a square batch in shape alone."""
    last = model.graph.node[-1]
    name, last.output[0] = last.output[0], "upright"
    model.graph.node.append(
        helper.make_node("Transpose", ["upright"], [name], name="turn", perm=[1, 0])
    )


def damaged(damage: Damage) -> Any:
    """An exporter that is right until its file is damaged."""

    def export(task: Any, path: Path) -> None:
        exporters._trace(task, path)
        model = onnx.load(path)
        damage(model)
        onnx.save(model, path)

    return export


def export_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **replaced: Any) -> Exported:
    for mode, one in replaced.items():
        monkeypatch.setitem(exporters.EXPORTERS, mode, one)
    return export_here(write_project(tmp_path / "project", CODE, inputs=INPUTS))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (wrong_constant, "differ from PyTorch's"),
        (fixed_batch, "Reshape"),
        (fixed_input, "fixes the dynamic dimension 'batch' (axis 0 of 'x') at 6"),
        (transposed_output, "differ from PyTorch's"),
    ],
)
def test_the_other_exporter_wins(
    damage: Damage, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = export_with(tmp_path, monkeypatch, export=damaged(damage))
    broken, right = exported.value.attempts
    assert (right.exporter, right.mode, right.taken) == ("torchscript", "trace", True)
    assert (broken.mode, broken.taken, broken.agrees) == ("export", False, False)
    assert says in broken.reason
    assert exported.value.exporter == "torchscript"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (wrong_constant, "in module 'second' at model.py:13 in forward"),
        (fixed_batch, "'fix' (Reshape)"),
        (transposed_output, "'turn' (Transpose)"),
    ],
)
def test_the_diverging_operator_is_named_when_all_are_broken(
    damage: Damage, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = dict.fromkeys(("export", "trace", "script"), damaged(damage))
    with pytest.raises(ModelError) as caught:
        export_with(tmp_path, monkeypatch, **every)
    told = caught.value.render()
    assert told.count(says) == 3, told


def test_the_fewest_nodes_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def padded(model: onnx.ModelProto) -> None:
        last = model.graph.node[-1]
        name, last.output[0] = last.output[0], "before"
        model.graph.node.append(helper.make_node("Neg", ["before"], ["down"]))
        model.graph.node.append(helper.make_node("Neg", ["down"], [name]))

    exported = export_with(
        tmp_path, monkeypatch, export=damaged(padded), trace=damaged(lambda model: None)
    )
    more, fewer = exported.value.attempts
    assert more.agrees and not more.taken
    assert fewer.agrees and fewer.taken
    assert more.nodes_after_clean_up is not None and fewer.nodes_after_clean_up is not None
    assert more.nodes_after_clean_up > fewer.nodes_after_clean_up
    assert f"leaves {fewer.nodes_after_clean_up} nodes" in more.reason
