"""The models that this field's problems are known by, and every opset that can be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgesmith.errors import ModelError, UsageError
from edgesmith.model import numeric
from in_process import Exported, export_here, write_project

pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")
pytestmark = pytest.mark.usefixtures("worker_here")

ALEXNET = """import torch
from torch import nn


def build():
    torch.manual_seed(0)
    layers, channels = [], 3
    for width, kernel, stride, pad, pools in ((8, 11, 4, 2, 1), (12, 5, 1, 2, 1), (16, 3, 1, 1, 0),
                                              (12, 3, 1, 1, 0), (12, 3, 1, 1, 1)):
        layers += [nn.Conv2d(channels, width, kernel, stride, pad), nn.ReLU()]
        layers += [nn.MaxPool2d(3, 2)] * pools
        channels = width
    head = [nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Dropout(), nn.Linear(48, 32), nn.ReLU(),
            nn.Dropout(), nn.Linear(32, 10)]
    return nn.Sequential(*layers, *head)
"""
LOOP = """import torch
from torch import nn


@torch.jit.script
def loop(x, count):
    for i in range(int(count)):
        x = x + i
    return x


class LoopModel(nn.Module):
    def forward(self, x, count):
        return loop(x, count)


def build():
    return LoopModel(), (torch.ones(2, 3), torch.tensor(5))
"""
LSTM = """import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 3, num_layers=2, bidirectional=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def build():
    torch.manual_seed(0)
    return Tagger()
"""
TRANSFORMER = """import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(60, 8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.norm = nn.LayerNorm(8)

    def forward(self, input_ids, attention_mask):
        x = self.words(input_ids)
        scores = self.query(x) @ self.key(x).transpose(1, 2) / 8**0.5
        scores = scores.masked_fill(attention_mask[:, None, :] == 0, -1e4)
        return self.norm(x + torch.softmax(scores, -1) @ self.value(x))


def build():
    torch.manual_seed(0)
    return Encoder()
"""
TOKENS = """
[model.inputs.input_ids]
shape = ["batch", "length"]
dtype = "int64"
range = [0, 59]
sizes = {{ batch = [1, 3], length = [4, 9] }}
[model.inputs.attention_mask]
shape = ["batch", "length"]
dtype = "int64"
range = [0, 1]
"""


def export(tmp_path: Path, code: str, *, inputs: str = "", model: str = "") -> Exported:
    return export_here(write_project(tmp_path / "project", code, inputs=inputs, model=model))


def answer(exported: Exported, **feeds: Any) -> Any:
    session = numeric.open_session(exported.path)
    return next(iter(numeric.run_session(session, feeds, shown_as="the model").values()))


def operators(exported: Exported) -> list[str]:
    return [node.op_type for node in onnx.load(exported.path).graph.node]


def test_alexnet_becomes_a_readable_graph_and_runs(tmp_path: Path) -> None:
    image = '[model.inputs.image]\nshape = ["batch", 3, 95, 95]\n'
    exported = export(tmp_path, ALEXNET, inputs=image)
    made = operators(exported)
    assert (made.count("Conv"), made.count("MaxPool"), made.count("Gemm")) == (5, 3, 2)
    assert "Dropout" not in made and len(made) <= 22
    assert answer(exported, image=np.zeros((2, 3, 95, 95), np.float32)).shape == (2, 10)


def test_a_loop_whose_count_is_an_input_is_no_unrolled_one(tmp_path: Path) -> None:
    exported = export(tmp_path, LOOP)
    assert "Loop" in operators(exported)
    for count in (5, 9):
        got = answer(exported, x=np.ones((2, 3), np.float32), count=np.array(count))
        assert got.tolist() == np.full((2, 3), 1 + sum(range(count))).tolist()


def test_an_lstm_of_any_sequence(tmp_path: Path) -> None:
    words = '[model.inputs.x]\nshape = ["seq", 2, 4]\nsizes = { seq = [3, 7] }\n'
    exported = export(tmp_path, LSTM, inputs=words)
    assert exported.value.onnx.inputs[0].dims == ("seq", 2, 4)
    assert "LSTM" in operators(exported)
    assert answer(exported, x=np.zeros((11, 2, 4), np.float32)).shape == (11, 2, 2)


@pytest.mark.parametrize("opset", [13, 17, 20, 23])
def test_a_transformer_of_named_inputs_at_every_opset(opset: int, tmp_path: Path) -> None:
    exported = export(tmp_path, TRANSFORMER, inputs=TOKENS.replace("{{", "{").replace("}}", "}"),
                      model=f"opset = {opset}")  # fmt: skip
    assert exported.value.onnx.opset == opset
    assert exported.value.onnx.ir_version <= 13
    assert {tuple(check.sizes.items()) for check in exported.value.parity} == {
        (("batch", batch), ("length", length)) for batch in (1, 3) for length in (4, 9)
    }
    ids = np.arange(10, dtype=np.int64).reshape(2, 5)
    assert answer(exported, input_ids=ids, attention_mask=np.ones_like(ids)).shape == (2, 5, 8)
    agreed = [one.mode for one in exported.value.attempts if one.agrees]
    assert "trace" in agreed or "export" in agreed
    assert onnx.load(exported.path).ir_version == exported.value.onnx.ir_version


def test_an_operator_that_stops_a_downgrade_is_named(tmp_path: Path) -> None:
    code = (
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n    def forward(self, x):\n"
        "        return nn.functional.grid_sample(x, x[:, :2].permute(0, 2, 3, 1))\n"
        "def build():\n    return Net()\n"
    )
    with pytest.raises(ModelError, match="GridSample"):
        export(
            tmp_path, code, inputs="[model.inputs.x]\nshape = [1, 3, 4, 4]\n", model="opset = 13"
        )


def test_an_opset_that_a_runtime_does_not_take_is_a_mistake(tmp_path: Path) -> None:
    file = write_project(tmp_path / "project", LSTM, model="opset = 22",
                         inputs='[model.inputs.x]\nshape = [3, 2, 4]\n')  # fmt: skip
    own = '[platforms.old]\nbase = "linux-x86_64"\nmax_opset = 21\n'
    text = file.read_text().replace('platform = "linux-x86_64"', f'platform = "old"\n{own}')
    file.write_text(text)
    with pytest.raises(UsageError, match="target 'host' takes opsets up to 21"):
        export_here(file)
