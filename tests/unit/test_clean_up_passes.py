"""The clean-up's own passes, each on graphs made for it, proven in ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from edgesmith.simplify.dead_code import remove_dead_code
from edgesmith.simplify.folding import FREE_BYTES, fold_constants
from edgesmith.simplify.graph import sort_nodes
from edgesmith.simplify.no_ops import remove_no_ops
from edgesmith.simplify.pairs import fix_reshape_targets, fuse_casts, fuse_reshapes
from edgesmith.simplify.passes import Pass
from edgesmith.simplify.sequence import Cleaned, run_passes
from edgesmith.simplify.sharing import share_initializers
from edgesmith.simplify.transposes import cancel_transposes

Array = np.ndarray
Edit = Callable[[onnx.ModelProto], bool]


def graph(
    body: str,
    constants: Mapping[str, Array] | None = None,
    *,
    takes: str = "float[N,4,5] x",
    gives: str = "float[A,B,C] y",
) -> onnx.ModelProto:
    """A model from the body of a graph in onnx's text form."""
    head = f'<ir_version: 9, opset_import: ["": 18]> g ({takes}) => ({gives})'
    model = parser.parse_model(f"{head} {{ {body} }}")
    for name, value in (constants or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    onnx.checker.check_model(model)
    return model


def applied(edit: Edit, model: onnx.ModelProto) -> Cleaned:
    """The model after one pass, with its proof at two sizes."""
    one = Pass(name="this", run=lambda found: found if edit(found) else None)
    return run_passes(model, [one], {"N": [1, 3]})


def operators(model: onnx.ModelProto) -> str:
    return " ".join(node.op_type for node in model.graph.node)


@dataclass(frozen=True, kw_only=True)
class Case:
    edit: Edit
    body: str
    left: str
    constants: Mapping[str, Array] = field(default_factory=dict)
    takes: str = "float[N,4,5] x"
    gives: str = "float[A,B,C] y"


ONES = np.ones((5, 4), np.float32)
FLIP = "Transpose<perm=[0,2,1]>"
FALSE = np.array(False)
RATIO = np.array(0.5, np.float32)

CASES = {
    "an unused branch": Case(
        edit=remove_dead_code,
        body="a = Tanh(x) b = Sigmoid(a) c = Neg(b) y = Relu(x)",
        left="Relu",
    ),
    "an unused mask": Case(
        edit=remove_dead_code, body="a, mask = Dropout(x) y = Relu(a)", left="Dropout Relu"
    ),
    "a dropout of inference": Case(
        edit=remove_no_ops,
        body="a = Dropout(x, ratio, training) y = Relu(a)",
        constants={"ratio": RATIO, "training": FALSE},
        left="Relu",
    ),
    "a whole slice": Case(
        edit=remove_no_ops,
        body="a = Slice(x, s, e) y = Relu(a)",
        constants={"s": np.array([0, 0]), "e": np.array([2**31 - 1, 4])},
        left="Relu",
    ),
    "a slice that cuts": Case(
        edit=remove_no_ops,
        body="a = Slice(x, s, e, axes) y = Relu(a)",
        constants={"s": np.array([0]), "e": np.array([3]), "axes": np.array([1])},
        left="Slice Relu",
    ),
    "a sum of one, at the output": Case(
        edit=remove_no_ops, body="a = Relu(x) b = Sum(a) y = Clip(b)", left="Relu"
    ),
    "casts up and down": Case(
        edit=fuse_casts,
        body="a = Relu(x) b = Cast<to=11>(a) c = Cast<to=1>(b) y = Tanh(c)",
        left="Relu Tanh",
    ),
    "a cast that loses digits": Case(
        edit=fuse_casts,
        body="a = Relu(x) b = Cast<to=10>(a) c = Cast<to=1>(b) y = Tanh(c)",
        left="Relu Cast Cast Tanh",
    ),
    "a reshape of a reshape": Case(
        edit=fuse_reshapes,
        body="a = Reshape(x, s) y = Reshape(a, t)",
        constants={"s": np.array([-1, 20]), "t": np.array([-1, 2, 10])},
        left="Reshape",
    ),
    "a reshape that copies a size": Case(
        edit=fuse_reshapes,
        body="a = Reshape(x, s) y = Reshape(a, t)",
        constants={"s": np.array([-1, 2, 10]), "t": np.array([0, 0, 10])},
        left="Reshape Reshape",
    ),
    "view(x.size(0), -1)": Case(
        edit=fix_reshape_targets,
        body="s = Shape(x) g = Gather(s, zero) u = Unsqueeze(g, axis)"
        " t = Concat<axis=0>(u, rest) y = Reshape(x, t)",
        constants={"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1])},
        gives="float[A,B] y",
        left="Reshape",
    ),
    "a size at another place": Case(
        edit=fix_reshape_targets,
        body="s = Shape<start=0, end=1>(x) t = Concat<axis=0>(rest, s) y = Reshape(x, t)",
        constants={"rest": np.array([-1])},
        gives="float[A,B] y",
        left="Shape Concat Reshape",
    ),
    "permutes that meet": Case(
        edit=cancel_transposes,
        body=f"a = Relu(x) b = {FLIP}(a) c = {FLIP}(b) y = Tanh(c)",
        left="Relu Tanh",
    ),
    "permutes that are one": Case(
        edit=cancel_transposes,
        body="a = Transpose<perm=[2,0,1]>(x) y = Transpose<perm=[2,0,1]>(a)",
        left="Transpose",
    ),
    "permutes around an operator, at the output": Case(
        edit=cancel_transposes, body=f"a = {FLIP}(x) b = Tanh(a) y = {FLIP}(b)", left="Tanh"
    ),
    "permutes around a weight": Case(
        edit=cancel_transposes,
        body=f"a = {FLIP}(x) b = Mul(a, w) c = Add(b, v) y = {FLIP}(c)",
        constants={"w": ONES * np.arange(4, dtype=np.float32), "v": np.arange(4.0, dtype="f")},
        left="Mul Add",
    ),
    "permutes around two branches and an axis": Case(
        edit=cancel_transposes,
        body=f"a = {FLIP}(x) b = Tanh(a) c = {FLIP}(x) d = Concat<axis=1>(b, c)"
        f" e = Softmax(d) y = {FLIP}(e)",
        left="Tanh Concat Softmax",
    ),
    "a permute for two readers": Case(
        edit=cancel_transposes,
        body=f"a = {FLIP}(x) b = Tanh(a) c = {FLIP}(b) d = {FLIP}(b) y = Add(c, d)",
        left="Tanh Add",
    ),
    "permutes that do not meet": Case(
        edit=cancel_transposes,
        body="a = Transpose<perm=[1,2,0]>(x) b = Tanh(a) y = Transpose<perm=[1,2,0]>(b)",
        left="Transpose Tanh Transpose",
    ),
    "an operator that others read": Case(
        edit=cancel_transposes,
        body=f"a = {FLIP}(x) b = Tanh(a) c = {FLIP}(b) y = Relu(c) z = Neg(b)",
        gives="float[A,B,C] y, float[D,E,F] z",
        left="Transpose Tanh Transpose Relu Neg",
    ),
    "what is computed of constants": Case(
        edit=fold_constants,
        body="a = Neg(w) b = Transpose<perm=[1,0]>(a) y = Add(x, b)",
        constants={"w": ONES},
        left="Add",
    ),
    "equal weights": Case(
        edit=share_initializers,
        body="a = Add(x, v) y = Mul(a, w)",
        constants={"v": ONES.T.copy(), "w": ONES.T.copy()},
        left="Add Mul",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_pass_does_what_it_can_prove(name: str) -> None:
    case = CASES[name]
    model = graph(case.body, case.constants, takes=case.takes, gives=case.gives)
    before = operators(model)
    done = applied(case.edit, model)
    assert operators(done.model) == case.left
    (record,) = done.passes
    assert record.reason == ""
    # Only the mask and the equal weights go without a node.
    assert record.taken or before == case.left
    onnx.checker.check_model(done.model, full_check=True)


def test_equal_weights_are_stored_once_and_unused_ones_not() -> None:
    case = CASES["equal weights"]
    done = applied(share_initializers, graph(case.body, {**case.constants, "unused": ONES}))
    assert [one.name for one in done.model.graph.initializer] == ["v"]


def big(body: str, count: int) -> onnx.ModelProto:
    constants = {"row": np.ones((1, count), np.float32), "times": np.array([1024, 1])}
    return graph(body, constants, takes="float[1] x", gives="float[A,B] y")


def test_a_small_table_is_computed_ahead_and_a_large_one_is_not() -> None:
    small, large = FREE_BYTES // 4 // 1024, FREE_BYTES // 4 // 1024 + 1
    body = "a = Tile(row, times) y = Mul(x, a)"
    assert operators(applied(fold_constants, big(body, small)).model) == "Mul"
    left = applied(fold_constants, big(body, large))
    assert operators(left.model) == "Tile Mul"
    assert not left.changed


def test_a_large_weight_is_computed_ahead_when_it_hardly_grows() -> None:
    half = np.ones((1024, 600), np.float16)
    model = graph(
        "a = Transpose<perm=[1,0]>(w) b = Cast<to=1>(a) y = MatMul(x, b)",
        {"w": half},
        takes="float[N,600] x",
        gives="float[A,B] y",
    )
    assert operators(applied(fold_constants, model).model) == "MatMul"


def test_quantized_weights_and_draws_are_not_computed_ahead() -> None:
    model = graph(
        "w = DequantizeLinear(q, scale) r = RandomNormal<shape=[5, 4]>()"
        " zero = Sub(r, r) m = MatMul(x, w) n = MatMul(x, zero) y = Add(m, n)",
        {"q": np.ones((5, 4), np.int8), "scale": RATIO},
    )
    assert operators(applied(fold_constants, model).model) == operators(model)


def test_values_that_subgraphs_read_stay() -> None:
    branch = "{name} () => (float[N,4,5] {out}) {{ {out} = Add(inner, w) }}"
    body = (
        "a = Identity(x) inner = Sum(a) unused = Neg(a) flag = Cast<to=9>(one)"
        f" y = If (flag) <then_branch = {branch.format(name='t', out='p')},"
        f" else_branch = {branch.format(name='e', out='q')}>"
    )
    model = graph(body, {"one": np.array(1), "w": ONES.T.copy(), "v": ONES.T.copy()})
    for edit in (remove_dead_code, remove_no_ops, share_initializers):
        done = applied(edit, model)
        assert done.passes[0].reason == ""
        model = done.model
    assert operators(model) == "Identity Cast If"
    assert [one.name for one in model.graph.initializer] == ["one", "w"]


def wrong(model: onnx.ModelProto) -> onnx.ModelProto:
    """Doubles every weight."""
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, tensor.name))
    return model


def unclipped(model: onnx.ModelProto) -> onnx.ModelProto:
    """Takes out limits that random draws do not reach."""
    (clip,) = (node for node in model.graph.node if node.op_type == "Clip")
    clip.op_type = "Identity"
    del clip.input[1:]
    return model


def renaming(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "other"
    return model


def raising(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.node[0].op_type = "Spoilt"
    raise ValueError("no such thing\nsecond line")


def growing(model: onnx.ModelProto) -> onnx.ModelProto:
    table = np.zeros(5 << 20, np.int8)
    model.graph.initializer.append(numpy_helper.from_array(table, "table"))
    return model


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (wrong, r"its outputs differ by [\d.]+ of the largest output \(.*, N = 1\)"),
        (unclipped, r"its outputs differ by .* of the largest output \(large values, N = 1\)"),
        (renaming, "it changes the inputs or outputs"),
        (raising, "ValueError: no such thing"),
        (growing, r"it makes the file \d+ bytes larger"),
    ],
)
def test_a_pass_that_is_wrong_is_dropped_by_name(
    run: Callable[[onnx.ModelProto], onnx.ModelProto], says: str
) -> None:
    model = graph(
        "a = Add(x, w) b = Identity(a) c = Clip(b, low, high) y = Identity(c)",
        {"w": ONES.T.copy(), "low": np.array(-20, "f"), "high": np.array(20, "f")},
    )
    passes = (
        Pass(name="wrong", run=run),
        Pass(name="right", run=lambda found: found if _without_identities(found) else None),
    )
    done = run_passes(model, passes, {"N": [1, 2]})
    bad, good = done.passes
    assert re.fullmatch(says, bad.reason)
    assert (bad.name, bad.taken, bad.nodes_before, bad.nodes_after) == ("wrong", False, 4, 4)
    assert (good.reason, good.taken, good.nodes_before, good.nodes_after) == ("", True, 4, 2)
    assert operators(done.model) == "Add Clip"
    assert all(check.passed for check in done.parity)


def _without_identities(model: onnx.ModelProto) -> bool:
    from edgesmith.simplify.graph import Editing

    graph = Editing(model)
    for node in model.graph.node:
        if node.op_type == "Identity":
            graph.bypass(node)
    return graph.close()


def test_draws_on_which_the_model_is_not_steady_prove_nothing() -> None:
    """The sine of a large number is decided by its last digit, which a right pass may change."""
    model = graph("a = Mul(x, s) y = Sin(a)", {"s": np.full((1, 5), 100, np.float32)})

    def rounded(found: onnx.ModelProto) -> onnx.ModelProto:
        value = np.nextafter(numpy_helper.to_array(found.graph.initializer[0]), np.float32(200))
        found.graph.initializer[0].CopyFrom(numpy_helper.from_array(value, "s"))
        return found

    done = run_passes(model, [Pass(name="rounded", run=rounded)], {"N": [1]})
    assert (done.passes[0].reason, done.passes[0].taken) == ("", True)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32])
def test_scalars_and_all_types_are_drawn(kind: int) -> None:
    value = helper.make_tensor_value_info
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["y"])],
        "g",
        [value("x", kind, [])],
        [value("y", kind, [])],
    )
    opset = helper.make_opsetid("", 18)
    done = applied(
        _without_identities, helper.make_model(inner, opset_imports=[opset], ir_version=9)
    )
    assert (operators(done.model), done.passes[0].reason) == ("Neg", "")


def test_nodes_are_sorted_behind_what_their_subgraphs_read() -> None:
    model = graph(
        "a = Relu(x) b = Neg(a) c = ReduceSum<keepdims = 0>(x) d = Cast<to = 9>(c) "
        "y = If(d) <then_branch = g1 () => (float[N,4,5] p) { p = Abs(b) },"
        " else_branch = g2 () => (float[N,4,5] q) { q = Identity(b) }>"
    )
    made = [node.op_type for node in model.graph.node]
    backwards = list(reversed(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(backwards)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(model)
    sort_nodes(model.graph)
    onnx.checker.check_model(model)
    assert sorted(made) == sorted(node.op_type for node in model.graph.node)
