"""Models that can't be exported or are wrong: each refused with its cause and the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgesmith.errors import EdgesmithError
from in_process import export_here, write_project

torch = pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")
pytestmark = pytest.mark.usefixtures("worker_here")

HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n"
X = '[model.inputs.x]\nshape = ["batch", 4]\n'
FIXED_X = "[model.inputs.x]\nshape = [2, 4]\n"


@dataclass(frozen=True)
class Refused:
    """A project and what its error must say."""

    code: str
    inputs: str
    says: tuple[str, ...]
    exit_code: int = 3
    source: str = "model.py:build"
    model: str = ""
    prepare: Callable[[Path], None] | None = None


def forward(lines: str, *, takes: str = "self, x", setup: str = "pass") -> str:
    body = "\n".join(f"        {line}" for line in lines.splitlines())
    return (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        {setup}\n    def forward({takes}):\n{body}\n\ndef build():\n"
        "    torch.manual_seed(0)\n    return Net()\n"
    )


def refused(name: str, code: str, inputs: str, *says: str, **more: Any) -> Any:
    return pytest.param(Refused(code, inputs, says, **more), id=name)


def pickled_module(folder: Path) -> None:
    torch.save(torch.nn.Linear(4, 2), folder / "net.pt")


def bare_weights(folder: Path) -> None:
    torch.save(torch.nn.Linear(4, 2).state_dict(), folder / "net.pt")


def rubbish(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(b"no model at all") and None


def scripted(folder: Path) -> None:
    torch.jit.trace(torch.nn.Linear(4, 2), torch.zeros(1, 4)).save(str(folder / "net.pt"))


CASES = [
    refused("branch on data", forward("return x * 2 if x.sum() > 0 else x.reshape(-1).tolist()"),
            X, "returns a float as 'output_0'", "return tensors"),
    refused("loop on data", forward("while x.norm() > 1:\n    x = x / 2\n"
                                    "y = [float(v) for v in x.reshape(-1)]\n"
                                    "return torch.tensor(sorted(y))"),
            FIXED_X, "no exporter gives a model that agrees", "trace", "export"),
    refused("unsupported operator", forward("return torch.linalg.eigvals(x @ x.T).real"),
            FIXED_X, "no exporter", "eigvals"),
    refused("missing argument", forward("return x + mask", takes="self, x, mask"), X,
            "missing a required argument: 'mask'", "list an input for each argument"),
    refused("unknown argument", forward("return x"), X + '[model.inputs.y]\nshape = [1]\n',
            "does not take these 2 inputs", "it takes x"),
    refused("weights of 2.4 GB", forward("return x + self.w.sum()", setup="self.w ="
                                         " nn.Parameter(torch.zeros(1).expand(600_000_000))"),
            X, "the weights have 2.4 GB", "external_data=True"),
    refused("active dropout", forward("return F.dropout(x, 0.5)"), X,
            "random", "aten.bernoulli_", "model.py:", "nn.Dropout"),
    refused("random weights in forward", forward("return x @ torch.randn(4, 2)"), X,
            "random", "aten.randn", "model.py:"),
    refused("state that grows", forward("self.n = self.n + 1\nreturn x * self.n",
                                        setup="self.n = 0"), X,
            "differs between two runs", "what its next run starts from"),
    refused("an output that is a number", forward('return {"y": x, "count": len(x)}'), X,
            "returns a int as 'count'", "return tensors"),
    refused("no output", forward("return None"), X, "returns no tensor"),
    refused("complex output", forward("return torch.fft.fft(x)"), X, "complex64",
            "view_as_real"),
    refused("bfloat16 output", forward("return x.bfloat16()"), X, "bfloat16", ".float()"),
    refused("NaN weights", forward("return self.w(x)", setup="self.w = nn.Linear(4, 2); "
                                   "nn.init.constant_(self.w.bias, float('nan'))"), X,
            "the weights hold NaN: w.bias", "checkpoint"),
    refused("a batch that view bakes in", forward("return x.view(2, 4) * 2"), X,
            "fails on inputs of shape {'x': [1, 4]}", "model.py:10 in forward", "sizes"),
    refused("an input changed in place", forward("x += 1\nreturn x * 2"), X,
            "changes its input 'x' in place", "x.clone()"),
    refused("two inputs for one argument", forward("return x"),
            X + '[model.inputs.y]\nshape = [1]\nargument = "x"\n', "two inputs go to", "argument",
            exit_code=2),
    refused("a tuple with a gap", forward("return x + s[1]", takes="self, x, s"),
            X + '[model.inputs.h]\nshape = [4]\nargument = "s[1]"\n', "places [1] are given",
            exit_code=2),
    refused("an argument that is no place", forward("return x"),
            '[model.inputs.x]\nshape = [4]\nargument = "x[a"\n', "model.inputs.x.argument",
            "such as state[0]", exit_code=2),
    refused("a range upside down", forward("return x"),
            "[model.inputs.x]\nshape = [4]\nrange = [2, 1]\n", "model.inputs.x.range",
            "lowest value before the highest", exit_code=2),
    refused("no input described", forward("return x"), "", "nothing says what the model takes",
            "example_inputs", exit_code=2),
    refused("an input without a shape", forward("return x"),
            '[model.inputs.x]\ndtype = "int64"\n', "'x' has no shape", exit_code=2),
    refused("two inputs that swap", forward("return a - b", takes="self, a, b"),
            "[model.inputs.b]\nshape = [4]\n[model.inputs.c]\nshape = [4]\n",
            "forward() takes a, b", exit_code=2),
    refused("a pickled module", "", X, "pickled object", "torch.jit.save", source="net.pt",
            prepare=pickled_module),
    refused("a state_dict", "", X, "holds weights (a state_dict)", "load_state_dict",
            source="net.pt", prepare=bare_weights),
    refused("no TorchScript", "", X, "can't be read as TorchScript", "truncated", source="net.pt",
            prepare=rubbish("net.pt")),
    refused("no ExportedProgram", "", X, "can't be read as an ExportedProgram",
            "torch.export.save", source="net.pt2", prepare=rubbish("net.pt2")),
    refused("TorchScript without inputs", "", "", "does not say what the model takes",
            source="net.pt", prepare=scripted, exit_code=2),
    refused("example of another shape",
            forward("return x").replace("return Net()", "return Net(), torch.zeros(2, 4)"),
            "[model.inputs.x]\nshape = [2, 5]\n", "the source has float32 [2, 4]", exit_code=2),
    refused("example with another name",
            forward("return x").replace("return Net()", "return Net(), torch.zeros(2, 4)"),
            "[model.inputs.image]\nshape = [2, 4]\n", "none of the source's own inputs",
            "x (at x)", exit_code=2),
]  # fmt: skip


@pytest.mark.parametrize("one", CASES)
def test_the_cause_and_the_way_out_are_told(one: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    file = write_project(folder, one.code, source=one.source, model=one.model, inputs=one.inputs)
    if one.prepare is not None:
        one.prepare(folder)
    with pytest.raises(EdgesmithError) as caught:
        export_here(file)
    told = caught.value.render()
    assert caught.value.exit_code == one.exit_code, told
    missing = [words for words in one.says if words not in told]
    assert not missing, told
    assert "Traceback" not in told
