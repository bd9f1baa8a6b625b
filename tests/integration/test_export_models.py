"""Every way of bringing a PyTorch model, each exported, checked and run in ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest

from in_process import Exported, export_here, write_project

torch = pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")
nn = torch.nn
pytestmark = pytest.mark.usefixtures("worker_here")

HEAD = "import torch\nfrom torch import nn\n\n"


@dataclass(frozen=True)
class Model:
    """A model.py, what the project file says of it, and the interface that must come of it."""

    name: str
    code: str
    inputs: str
    takes: dict[str, tuple[str, list[Any]]]
    gives: list[str]
    model: str = ""


def model(name: str, code: str, inputs: str, takes: Any, gives: list[str], model: str = "") -> Any:
    return pytest.param(Model(name, HEAD + code, inputs, takes, gives, model), id=name)


def table(name: str, shape: str, *rest: str) -> str:
    return "\n".join([f"[model.inputs.{name}]", f"shape = {shape}", *rest, ""])


LSTM = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 3)
    def forward(self, x, state):
        y, (h, c) = self.rnn(x, state)
        return y, (h, c)
def build():
    torch.manual_seed(0)
    return Net()
"""
LSTM_EXAMPLE = LSTM.replace(
    "    return Net()",
    "    return Net(), (torch.randn(5, 2, 4), (torch.randn(1, 2, 3), torch.randn(1, 2, 3)))",
)
WORDS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    def forward(self, input_ids, *, attention_mask, extra=None):
        hidden = self.layer(self.words(input_ids), src_key_padding_mask=attention_mask == 0)
        return {"hidden": hidden, "pooled": [hidden.mean(1), None]}
def build():
    torch.manual_seed(0)
    return Net(){example}
"""
IDS = """, {"input_ids": torch.randint(0, 50, (2, 6)),
    "attention_mask": torch.ones(2, 6, dtype=torch.int64)}"""
MIXED = """
from dataclasses import dataclass
@dataclass
class Found:
    score: torch.Tensor
    hits: torch.Tensor
class Net(nn.Module):
    def forward(self, ids, mask, scale, state):
        held, step = state["held"], state["step"]
        score = (ids.float() * mask).sum() * scale + held.double().mean() + step
        return Found(score=score.float(), hits=ids.where(mask, ids * 0).sum(-1))
def build():
    return Net()
"""
MIXED_INPUTS = (
    table("ids", '["batch", 3]', 'dtype = "int64"', "range = [0, 99]")
    + table("mask", '["batch", 3]', 'dtype = "bool"')
    + table("scale", "[]")
    + table("held", '[2, "n"]', 'dtype = "float16"', 'argument = "state.held"')
    + table("step", "[]", 'dtype = "int8"', "argument = 'state[\"step\"]'")
)
LOOP = """
@torch.jit.script
def repeat(x, count):
    for i in range(int(count)):
        x = x / 2 + i
    return x
class Net(nn.Module):
    def forward(self, x, count):
        return repeat(x, count)
def build():
    return Net()
"""
MODELS = [
    model("nested tuple by example", LSTM_EXAMPLE, table("x", '["seq", 2, 4]'),
          {"x": ("float32", ["seq", 2, 4]), "state_0": ("float32", [1, 2, 3]),
           "state_1": ("float32", [1, 2, 3])}, ["output_0", "output_1_0", "output_1_1"]),
    model("nested tuple by argument", LSTM,
          table("c", "[1, 2, 3]", 'argument = "state[1]"') + table("x", '["seq", 2, 4]') +
          table("h", "[1, 2, 3]", 'argument = "state[0]"'),
          {"c": ("float32", [1, 2, 3]), "x": ("float32", ["seq", 2, 4]),
           "h": ("float32", [1, 2, 3])}, ["output_0", "output_1_0", "output_1_1"]),
    model("keywords by example", WORDS.replace("{example}", IDS),
          table("input_ids", '["batch", "length"]') + table("attention_mask", '["batch", "length"]',
                                                            "range = [1, 1]"),
          {"input_ids": ("int64", ["batch", "length"]),
           "attention_mask": ("int64", ["batch", "length"])}, ["hidden", "pooled_0"]),
    model("keywords by name", WORDS.replace("{example}", ""),
          table("attention_mask", '["batch", 6]', 'dtype = "int64"', "range = [1, 1]") +
          table("input_ids", '["batch", 6]', 'dtype = "int64"', "range = [0, 49]"),
          {"attention_mask": ("int64", ["batch", 6]), "input_ids": ("int64", ["batch", 6])},
          ["hidden", "pooled_0"]),
    model("types and scalars", MIXED, MIXED_INPUTS,
          {"ids": ("int64", ["batch", 3]), "mask": ("bool", ["batch", 3]),
           "scale": ("float32", []), "held": ("float16", [2, "n"]), "step": ("int8", [])},
          ["score", "hits"]),
    model("scripted loop", LOOP, table("x", "[3]") + table("count", "[]", 'dtype = "int64"',
                                                           "range = [5, 9]"),
          {"x": ("float32", [3]), "count": ("int64", [])}, ["output"]),
    model("an input that nothing uses",
          "class Net(nn.Module):\n    def forward(self, x, flag):\n        return x * 2\n"
          "def build():\n    return Net(), (torch.zeros(2), torch.tensor(True))\n", "",
          {"x": ("float32", [2]), "flag": ("bool", [])}, ["output"]),
]  # fmt: skip


def interface(exported: Exported) -> dict[str, tuple[str, list[Any]]]:
    return {one.name: (one.dtype, list(one.dims)) for one in exported.value.onnx.inputs}


@pytest.mark.parametrize("one", MODELS)
def test_every_form_of_inputs_and_outputs(one: Model, tmp_path: Path) -> None:
    file = write_project(tmp_path / "project", one.code, model=one.model, inputs=one.inputs)
    exported = export_here(file)
    assert interface(exported) == one.takes
    assert [output.name for output in exported.value.onnx.outputs] == one.gives
    assert all(check.passed for check in exported.value.parity)


class Scaled(nn.Module):
    """Takes a nested input by keyword; its loop is one only when scripted."""

    def forward(self, x: torch.Tensor, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return x * pair[0] + pair[1].sum()


def test_an_exported_program_brings_its_inputs_and_their_ranges(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=3, max=9)
    example = (torch.randn(4, 2), (torch.randn(8, 2)[:4], torch.randn(3)))
    program = torch.export.export(
        Scaled(), example, dynamic_shapes={"x": {0: batch}, "pair": ({0: batch}, None)}
    )
    file = write_project(tmp_path / "project", source="net.pt2")
    torch.export.save(program, file.parent / "net.pt2")
    exported = export_here(file)
    assert interface(exported) == {
        "x": ("float32", ["x_dim_0", 2]),
        "pair_0": ("float32", ["x_dim_0", 2]),
        "pair_1": ("float32", [3]),
    }
    assert dict(exported.value.sizes) == {"x_dim_0": (3, 4)}
    named = '[model.inputs.x]\nshape = ["rows", 2]\nsizes = { rows = [5, 9] }\n'
    exported = export_here(write_project(file.parent, source="net.pt2", inputs=named))
    assert interface(exported)["pair_0"] == ("float32", ["rows", 2])
    assert dict(exported.value.sizes) == {"rows": (5, 9)}


@torch.jit.script
def halved(x: torch.Tensor) -> torch.Tensor:
    while bool(x.sum() > 1):
        x = x / 2
    return x


class Halving(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return halved(x)


def test_a_torchscript_file_keeps_its_loops(tmp_path: Path) -> None:
    file = write_project(
        tmp_path / "project", source="net.pt", inputs='[model.inputs.x]\nshape = ["n", 2]\n'
    )
    torch.jit.script(Halving()).save(str(file.parent / "net.pt"))
    exported = export_here(file)
    taken = next(one for one in exported.value.attempts if one.taken)
    assert (taken.exporter, taken.mode) == ("torchscript", "script")
    assert "Loop" in {node.op_type for node in onnx.load(exported.path).graph.node}
