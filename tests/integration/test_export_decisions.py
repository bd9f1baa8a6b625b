"""What a trace can't see, and what decides between exporters beyond agreement on a few inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.errors import EdgesmithError
from in_process import Exported, export_here, write_project

torch = pytest.importorskip("torch", reason="torch is not installed: edgesmith[torch]")
pytestmark = pytest.mark.usefixtures("worker_here")

X = '[model.inputs.x]\nshape = ["batch", 4]\n'
HEAD = """import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
"""


def forward(lines: str, *, takes: str = "self, x", made: str = "Net()") -> str:
    body = "\n".join(f"        {line}" for line in lines.splitlines())
    return (
        f"{HEAD}\n    def forward({takes}):\n{body}\n\n\ndef build():\n"
        f"    torch.manual_seed(0)\n    return {made}\n"
    )


def exported(folder: Path, code: str, inputs: str = X, *, model: str = "") -> Exported:
    return export_here(write_project(folder / "project", code, model=model, inputs=inputs))


def taken(one: Exported) -> tuple[str, str]:
    return next((a.exporter, a.mode) for a in one.value.attempts if a.taken)


def run(one: Exported, **feeds: Any) -> list[Any]:
    return onnxruntime.InferenceSession(one.path).run(None, feeds)


def test_a_branch_on_a_size_is_kept(tmp_path: Path) -> None:
    lines = "if x.shape[0] > 20:\n    return self.linear(x) * 3\nreturn self.linear(x)"
    one = exported(tmp_path, forward(lines))
    assert taken(one) == ("torchscript", "script")
    x = np.ones((40, 4), np.float32)
    (many,), (few,) = run(one, x=x), run(one, x=x[:1])
    np.testing.assert_allclose(many[:1], few * 3, rtol=1e-5)
    assert "larger sizes" in {check.inputs for check in one.value.parity}


def test_a_branch_on_a_value_is_kept(tmp_path: Path) -> None:
    lines = "if x.sum() > 1e9:\n    return self.linear(x) * 3\nreturn self.linear(x)"
    one = exported(tmp_path, forward(lines))
    assert taken(one) == ("torchscript", "script")
    trace = next(a for a in one.value.attempts if a.mode == "trace")
    assert trace.agrees and "takes values for constants: model.py:12" in trace.reason
    large = np.full((2, 4), 1e12, np.float32)
    (many,), (few,) = run(one, x=large), run(one, x=-large)
    np.testing.assert_allclose(many, few * -3, rtol=1e-3)


def test_a_trace_that_fixed_a_value_is_taken_for_want_of_others_and_told(tmp_path: Path) -> None:
    lines = "scale = [3.0, 1.0][int(bool((x < 1e9).all()))]\nreturn eval('self.linear(x) * scale')"
    one = exported(tmp_path, forward(lines))
    assert taken(one) == ("torchscript", "trace")
    warning = next(words for words in one.said if "took values for constants" in words)
    assert "model.py:12: Converting a tensor to a Python boolean" in warning


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_script_mode_takes_plain_modules_and_nested_inputs(nested: bool, tmp_path: Path) -> None:
    # Too many turns for PyTorch to unroll, which depend on an input's value.
    turns = "for _ in range(int(n)):\n    y = self.linear(y).tanh()\nreturn y"
    if nested:
        lines = "x, n = given[0], given[1]\ny = x\n" + turns
        takes = "self, given: tuple[torch.Tensor, torch.Tensor]"
        places = ('argument = "given[0]"\n', 'argument = "given[1]"\n')
    else:
        lines, takes, places = "y = x\n" + turns, "self, x, n", ("", "")
    inputs = (
        f'{X}{places[0]}[model.inputs.n]\ndtype = "int64"\nshape = []\nrange = [0, 4]\n{places[1]}'
    )
    one = exported(tmp_path, forward(lines, takes=takes), inputs, model='exporter = "torchscript"')
    assert taken(one) == ("torchscript", "script")
    x = np.ones((1, 4), np.float32)
    (none,), (three,) = (run(one, x=x, n=np.array(n)) for n in (0, 3))
    np.testing.assert_array_equal(none, x)
    assert np.abs(three - x).max() > 0.1


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_attention_is_exported_without_its_fused_kernel(exporter: str, tmp_path: Path) -> None:
    made = "nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)"
    inputs = '[model.inputs.src]\nshape = ["batch", 5, 4]\n'
    one = exported(tmp_path, forward("return x", made=made), inputs,
                   model=f'exporter = "{exporter}"')  # fmt: skip
    assert taken(one)[0] == exporter
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("by_example", [False, True], ids=["declared", "example"])
def test_keyword_arguments_of_any_name(by_example: bool, tmp_path: Path) -> None:
    lines = 'return self.linear(inputs["left"]) - inputs["right"]'
    made, inputs = "Net()", ""
    if by_example:
        made = 'Net(), {"left": torch.ones(2, 4), "right": torch.zeros(2, 4)}'
    else:
        inputs = X.replace(".x", ".left") + X.replace(".x", ".right")
    one = exported(tmp_path, forward(lines, takes="self, **inputs", made=made), inputs)
    assert [each.name for each in one.value.onnx.inputs] == ["left", "right"]


def test_a_dict_for_a_positional_argument_stays_one(tmp_path: Path) -> None:
    lines = 'return self.linear(batch["left"])'
    made = 'Net(), {"left": torch.ones(2, 4)}'
    one = exported(tmp_path, forward(lines, takes="self, batch, **options", made=made), "")
    assert [each.name for each in one.value.onnx.inputs] == ["batch_left"]


def test_sizes_that_the_model_does_not_take_are_left_out_with_the_reason(tmp_path: Path) -> None:
    lines = "return self.linear(x) + torch.eye(8)[: x.shape[0], :4]"
    one = exported(tmp_path, forward(lines))
    assert "PyTorch fails on it: RuntimeError" in one.value.left_out["larger sizes"]


def test_integers_that_can_not_be_drawn_are_the_given_ones(tmp_path: Path) -> None:
    made = "nn.EmbeddingBag(10, 3), (torch.tensor([7, 2, 4, 5, 4, 3]), torch.tensor([0, 2, 5]))"
    one = exported(tmp_path, forward("return x", made=made), "")
    drawn = {check.inputs for check in one.value.parity}
    assert "random draw 1 with the given integers" in drawn
    ids, offsets = (each.name for each in one.value.onnx.inputs)
    feeds = {ids: np.array([1, 2, 3, 4, 5, 6]), offsets: np.array([0, 1, 6])}
    (found,) = run(one, **feeds)
    assert found.shape == (3, 3)
    np.testing.assert_array_equal(found[2], np.zeros(3, np.float32))


def test_an_onnx_output_without_a_shape_is_inferred(tmp_path: Path) -> None:
    file = onnx_project(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], opset=17)
    model = onnx.load(file.parent / "one.onnx")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, file.parent / "one.onnx")
    assert export_here(file).value.onnx.outputs[0].dims == ("batch", 4)


def test_declared_sizes_are_all_that_counts(tmp_path: Path) -> None:
    inputs = X + "sizes = { batch = [1, 3] }\n"
    one = exported(tmp_path, forward("return self.linear(x)"), inputs)
    assert "larger sizes" not in {check.inputs for check in one.value.parity}


def test_why_zeros_tell_nothing(tmp_path: Path) -> None:
    one = exported(tmp_path, forward("return self.linear.weight @ x.T"))
    assert one.value.left_out["zeros"] == "PyTorch's own output 'output' is next to zero there"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("return self.linear(x) * (x - x) / (x - x)", ("NaN throughout", "range = [0, 1]")),
        (
            "return F.dropout(self.linear(x), 0.5 if x.shape[0] > 20 else 0.0)",
            ("random", "bernoulli", "model.py:12"),
        ),
    ],
    ids=["only NaN", "random from a size on"],
)
def test_refused(lines: str, says: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(EdgesmithError) as caught:
        exported(tmp_path, forward(lines))
    assert caught.value.exit_code == 3
    for words in says:
        assert words in caught.value.render()


@pytest.mark.parametrize(
    ("lines", "shape", "tried", "guard"),
    [
        ("if x.shape[0] > 100:\n    return x * 2\nreturn x + 1", '["n", 4]', (3, 101), "<= 100"),
        ("if x.shape[0] % 8 == 0:\n    return x * 2\nreturn x + 1", '["n", 4]', (3, 16), "% 8"),
        (
            "n = x.shape[1]\nif n % 7:\n    x = F.pad(x, (0, 7 - n % 7))\n"
            "return x.reshape(x.shape[0], -1, 7).mean(-1)",
            '[2, "t"]',
            (5, 14),
            "% 7",
        ),
    ],
    ids=["a threshold", "a remainder", "padding to a multiple"],
)
def test_decisions_by_sizes_that_were_not_tried(
    lines: str, shape: str, tried: tuple[int, int], guard: str, tmp_path: Path
) -> None:
    one = exported(tmp_path, forward(lines), f"[model.inputs.x]\nshape = {shape}\n")
    assert taken(one) == ("torchscript", "script")
    dynamo = next(a for a in one.value.attempts if a.mode == "export")
    assert guard in dynamo.reason
    namespace: dict[str, Any] = {}
    exec(forward(lines), namespace)
    for size in tried:
        x = np.random.default_rng(0).standard_normal((size, 4) if "4" in shape else (2, size))
        x = x.astype(np.float32)
        np.testing.assert_allclose(
            run(one, x=x)[0], namespace["build"]()(torch.from_numpy(x)), rtol=1e-5, atol=1e-6
        )


def test_a_decision_by_a_size_is_told_where_dynamo_alone_is_asked(tmp_path: Path) -> None:
    lines = "if x.shape[0] > 100:\n    return x * 2\nreturn x + 1"
    one = exported(tmp_path, forward(lines), model='exporter = "dynamo"')
    assert any("x.shape[0] <= 100" in words for words in one.said)
    declared = X + "sizes = { batch = [1, 3] }\n"
    silent = exported(tmp_path, forward(lines), declared, model='exporter = "dynamo"')
    assert not any("took values for constants" in words for words in silent.said)


def test_negative_integers_are_tried(tmp_path: Path) -> None:
    inputs = '[model.inputs.x]\ndtype = "int64"\nshape = ["n"]\n'
    one = exported(tmp_path, forward("return x // 3, x % 3"), inputs)
    assert taken(one)[0] == "dynamo"
    x = np.arange(-7, 8)
    for found, wanted in zip(run(one, x=x), (x // 3, x % 3), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_what_is_random_on_some_values_only(tmp_path: Path) -> None:
    with pytest.raises(EdgesmithError) as caught:
        exported(tmp_path, forward("return torch.where(x > 4, torch.randn(4), x)"))
    assert "it is random: the operator RandomNormal" in caught.value.render()


def test_a_program_with_even_sizes_alone(tmp_path: Path) -> None:
    # Untyped where PyTorch is not installed.
    class Pairs(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def forward(self, x: Any) -> Any:
            return x.reshape(-1, 4, 2).sum(-1)

    file = write_project(tmp_path / "project", source="net.pt2")
    half = torch.export.Dim("half", min=1)
    program = torch.export.export(Pairs(), (torch.ones(6, 4),), dynamic_shapes=({0: 2 * half},))
    torch.export.save(program, file.parent / "net.pt2")
    one = export_here(file)
    assert taken(one) == ("torchscript", "trace")
    x = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    np.testing.assert_allclose(run(one, **{one.value.onnx.inputs[0].name: x})[0],
                               x.reshape(-1, 4, 2).sum(-1), rtol=1e-5)  # fmt: skip


def test_arguments_of_any_number_reach_both_exporters(tmp_path: Path) -> None:
    made = "Net(), (torch.ones(2, 4), torch.zeros(2, 4))"
    one = exported(tmp_path, forward("return xs[0] - xs[1]", takes="self, *xs", made=made), "")
    assert [a.agrees for a in one.value.attempts] == [True, True]


def test_a_buffer_that_changes_is_named(tmp_path: Path) -> None:
    lines = "self.linear.bias.data += 1\nreturn self.linear(x)"
    code = forward(lines.replace("self.linear.bias.data", "self.count")).replace(
        "nn.Linear(4, 4)", "nn.Linear(4, 4)\n        self.register_buffer('count', torch.zeros(()))"
    ).replace("self.linear(x)", "self.linear(x) + self.count")  # fmt: skip
    with pytest.raises(EdgesmithError) as caught:
        exported(tmp_path, code)
    assert "forward() changes count, which is what its next run starts" in caught.value.render()


def test_an_end_of_a_declared_range_that_pytorch_fails_at_is_told(tmp_path: Path) -> None:
    inputs = '[model.inputs.input]\ndtype = "int64"\nshape = ["n"]\nrange = [0, 10]\n'
    code = forward("return x", made="nn.Embedding(11, 3)")
    fits = exported(tmp_path, code, inputs)
    assert not any("highest values" in words for words in fits.said)
    with pytest.raises(EdgesmithError, match="IndexError"):
        exported(tmp_path, code.replace("11, 3", "10, 3"), inputs.replace("10]", "40]"))


def test_the_way_out_of_an_old_opset_is_a_newer_one(tmp_path: Path) -> None:
    lines = "return F.grid_sample(x, grid, align_corners=False)"
    inputs = (
        "[model.inputs.x]\nshape = [1, 2, 5, 5]\n[model.inputs.grid]\nshape = [1, 3, 3, 2]\n"
        "range = [-1, 1]\n"
    )
    code = forward(lines, takes="self, x, grid")
    with pytest.raises(EdgesmithError) as caught:
        exported(tmp_path, code, inputs, model="opset = 13")
    assert "set [model] opset = 16 or newer" in caught.value.render()


def onnx_project(folder: Path, nodes: list[onnx.NodeProto], *, opset: int, model: str = "") -> Path:
    """A model from `x` to `y`, [batch, 4] each."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4]) for n in "xy"]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", opset)]
    file = write_project(folder / "project", source="one.onnx", model=model)
    onnx.save(
        helper.make_model(graph, opset_imports=opsets, ir_version=8), file.parent / "one.onnx"
    )
    return file


def test_a_random_onnx_model_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"], name="draw"),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    with pytest.raises(EdgesmithError) as caught:
        export_here(onnx_project(tmp_path, nodes, opset=17))
    assert caught.value.exit_code == 3
    assert "RandomNormalLike ('draw')" in caught.value.render()


def test_an_onnx_model_comes_to_the_opset_that_is_asked_for(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    one = export_here(onnx_project(tmp_path, nodes, opset=13, model="opset = 18"))
    assert one.value.onnx.opset == 18
    assert all(check.passed for check in one.value.parity)
    unasked = export_here(onnx_project(tmp_path, nodes, opset=13))
    assert unasked.value.onnx.opset == 13


def test_what_stops_a_downgrade_of_an_onnx_model_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gelu", ["x"], ["y"])]
    with pytest.raises(EdgesmithError) as caught:
        export_here(onnx_project(tmp_path, nodes, opset=20, model="opset = 13"))
    assert caught.value.exit_code == 3
    assert "Gelu" in caught.value.render()
    assert "from opset 20 to 13" in caught.value.render()


def unsound(kind: str, file: Path) -> None:
    """Makes a sound model of two MatMuls one that must be refused."""
    path = file.parent / "one.onnx"
    model = onnx.load(path)
    graph = model.graph
    if kind == "a wrong shape":
        graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7
    elif kind == "no input shape":
        graph.input[0].type.tensor_type.ClearField("shape")
    elif kind == "an output twice":
        graph.output.append(graph.output[0])
    elif kind == "NaN":
        graph.initializer.append(numpy_helper.from_array(np.array([np.nan], np.float32), "w"))
        graph.node[0].op_type = "Add"
        graph.node[0].input.append("w")
    elif kind == "a training Dropout":
        graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "ratio"))
        graph.initializer.append(numpy_helper.from_array(np.array(True), "training"))
        graph.node[0].op_type = "Dropout"
        graph.node[0].input.extend(["ratio", "training"])
    else:
        drawing = [helper.make_node("RandomNormalLike", ["a"], ["b"], name="draw"),
                   helper.make_node("Add", ["a", "b"], ["c"])]  # fmt: skip
        opset = [helper.make_opsetid("", 17)]
        function = helper.make_function("mine", "Noise", ["a"], ["c"], drawing, opset)
        model.functions.append(function)
        model.opset_import.append(helper.make_opsetid("mine", 1))
        graph.node[0].op_type, graph.node[0].domain = "Noise", "mine"
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("a wrong shape", "'y' is declared as ['batch', 7], its operators give ['batch', 4]"),
        ("no input shape", "the input 'x' has no shape"),
        ("an output twice", "the output 'y' is listed twice"),
        ("NaN", "the weights hold NaN: w"),
        ("a training Dropout", "the model is random: the operator Dropout"),
        ("a function that draws", "the model is random: the operator RandomNormalLike ('draw')"),
    ],
)
def test_an_unsound_onnx_model_is_refused(kind: str, says: str, tmp_path: Path) -> None:
    file = onnx_project(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], opset=17)
    unsound(kind, file)
    with pytest.raises(EdgesmithError) as caught:
        export_here(file)
    assert caught.value.exit_code == 3
    assert says in caught.value.render()
