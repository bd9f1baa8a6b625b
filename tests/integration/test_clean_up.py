"""The clean-up with onnxsim's native code, in this process and in a worker that may die."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from edgesmith.cache import Cache
from edgesmith.errors import ModelError
from edgesmith.events import EventStream, Message
from edgesmith.model import onnx_file
from edgesmith.pipeline import Pipeline
from edgesmith.project.load import load_project
from edgesmith.simplify import clean_up as module
from edgesmith.simplify import native
from edgesmith.simplify.clean_up import CleanUp, clean_up, clean_up_all
from edgesmith.simplify.passes import PASSES
from edgesmith.simplify.sequence import Cleaned, run_passes
from edgesmith.stages import Context

Array = np.ndarray
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def model_of(text: str, constants: Mapping[str, Array] | None = None) -> onnx.ModelProto:
    model = parser.parse_model(text)
    for name, value in (constants or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    onnx.checker.check_model(model)
    return model


def weights(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def normalization(name: str, channels: int, seed: int) -> dict[str, Array]:
    keys = ("scale", "shift", "mean")
    parts = {key: weights(channels, seed=seed + i) for i, key in enumerate(keys)}
    parts["var"] = np.abs(weights(channels, seed=seed + 9)) + 0.5
    return {f"{name}_{key}": value for key, value in parts.items()}


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def counts(done: Cleaned) -> dict[str, tuple[int, int]]:
    """Node counts of the passes that did something."""
    assert [one.reason for one in done.passes if one.reason] == []
    return {one.name: (one.nodes_before, one.nodes_after) for one in done.passes if one.taken}


BLOCK = """<ir_version: 9, opset_import: ["": 18]>
block (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) {
    shared = Constant<value_float = 1.0>()
    mean1 = ReduceMean<keepdims = 1>(w1, axes)
    centred1 = Sub(w1, mean1)
    scaled1 = Mul(centred1, shared)
    a = Conv<pads = [1, 1, 1, 1]>(x, scaled1)
    b = BatchNormalization(a, bn1_scale, bn1_shift, bn1_mean, bn1_var)
    c = Relu(b)
    same = Identity(w2)
    d = Conv<pads = [1, 1, 1, 1]>(c, same)
    e = BatchNormalization(d, bn2_scale, bn2_shift, bn2_mean, bn2_var)
    last = Transpose<perm = [0, 2, 3, 1]>(e)
    unused = Sigmoid(last)
    skip = Transpose<perm = [0, 2, 3, 1]>(x)
    sum = Add(last, skip)
    f = Relu(sum)
    kept = Dropout(f)
    y = Transpose<perm = [0, 3, 1, 2]>(kept)
}"""


def block() -> onnx.ModelProto:
    """A ResNet block with standardized weights, as an exporter or a user leaves it."""
    constants = {"w1": weights(4, 4, 3, 3), "w2": weights(4, 4, 3, 3, seed=1)}
    constants |= {"axes": np.array([1, 2, 3])}
    constants |= normalization("bn1", 4, seed=20) | normalization("bn2", 4, seed=40)
    return model_of(BLOCK, constants)


def test_a_resnet_block_is_five_nodes_and_each_pass_says_what_it_did() -> None:
    done = run_passes(block(), PASSES, {"N": [1, 3]})
    assert operators(done.model) == ["Conv", "Relu", "Conv", "Add", "Relu"]
    assert counts(done) == {
        "dead-code": (17, 16),
        "no-ops": (16, 14),
        "constant-folding": (14, 10),
        "transposes": (10, 7),
        "convolutions": (7, 5),
    }
    assert [check.sizes["N"] for check in done.parity] == [1, 3]
    assert all(check.passed for check in done.parity)


def test_onnxsim_has_the_passes_that_are_named() -> None:
    from onnxsim import onnxsim_cpp2py_export

    groups = (native.NO_OPS, native.SHAPES, native.CONSECUTIVE, native.CONVOLUTIONS)
    named = {name for group in groups for name in group}
    assert named <= set(onnxsim_cpp2py_export._list_optimizers())


LINEAR = """<ir_version: 9, opset_import: ["": 18]>
linear (float[{dims}, 4] x) => (float[{dims}, 4] y) {{
    same = Identity(x)
    a = MatMul(same, w)
    c = Add(a, b)
    d = Relu(c)
    e = MatMul(d, w)
    y = Add(e, b)
}}"""
PRODUCTS = ["MatMul", "Add", "Relu", "MatMul", "Add"]
GEMMS = ["Reshape", "Gemm", "Relu", "Gemm", "Reshape"]


@pytest.mark.parametrize(("dims", "found"), [("2, 3", GEMMS), ("N, L", PRODUCTS)])
def test_a_product_stays_where_a_gemm_would_compute_shapes(dims: str, found: list[str]) -> None:
    constants = {"w": weights(4, 4), "b": weights(4, seed=1)}
    model = model_of(LINEAR.format(dims=dims), constants)
    by_itself = native.run_optimizers(model, native.NO_OPS)
    assert operators(by_itself) == PRODUCTS
    done = run_passes(model, PASSES, {"N": [1, 2], "L": [2, 5]})
    assert operators(done.model) == found


def test_a_network_whose_weights_are_computed_stays_small() -> None:
    """onnx's ResNet-50 of 80 kB has ConstantOfShape nodes for 100 MB of weights."""
    model = onnx.load(LIGHT / "light_squeezenet.onnx")
    before = model.ByteSize()
    done = run_passes(model, PASSES, {})
    assert counts(done)["constant-folding"][1] < counts(done)["constant-folding"][0]
    assert done.model.ByteSize() < before + 2e6
    assert "ConstantOfShape" in operators(done.model)


IF = """<ir_version: 9, opset_import: ["": 18]>
g (float[N, 4] x, bool flag) => (float[N, 4] y) {
    a = Relu(x)
    y = If (flag) <
        then_branch = t () => (float[N, 4] p) { p = Neg(a) },
        else_branch = e () => (float[N, 4] q) { q = Identity(a) }
    >
}"""
LOOP = """<ir_version: 9, opset_import: ["": 18]>
g (int64 times, float[4] x) => (float[4] y) {
    true = Constant<value = bool {1}>()
    y = Loop (times, true, x) <
        body = b (int64 i, bool go, float[4] carried) => (bool on, float[4] next) {
            on = Identity(go) next = Add(carried, x)
        }
    >
}"""
SCAN = """<ir_version: 9, opset_import: ["": 18]>
g (float[4] start, float[N, 4] x) => (float[4] last, float[N, 4] y) {
    last, y = Scan <num_scan_inputs = 1,
        body = b (float[4] sum, float[4] row) => (float[4] next, float[4] out) {
            next = Add(sum, row) out = Identity(next)
        }
    > (start, x)
}"""
FUNCTION = """<ir_version: 9, opset_import: ["": 18, "own": 1]>
g (float[N, 4] x) => (float[N, 4] y) { a = own.twice(x) y = Relu(a) }
<domain: "own", opset_import: ["": 18]>
twice (p) => (q) { q = Add(p, p) }"""
CUSTOM = """<ir_version: 9, opset_import: ["": 18, "com.microsoft": 1]>
g (float[N, 4] x) => (float[N, 4] y) { a = com.microsoft.Gelu(x) b = Identity(a) y = Relu(b) }"""
HALF = """<ir_version: 9, opset_import: ["": 18]>
g (float16[N, 4] x) => (float16[N, 3] y) { a = MatMul(x, w) y = Add(a, b) }"""
INTEGERS = """<ir_version: 9, opset_import: ["": 18]>
g (int64[N] ids, bool[N] mask) => (float[N, 3] y) {
    a = Gather(table, ids) b = Cast<to = 1>(mask) c = Unsqueeze(b, axis) y = Mul(a, c)
}"""
SCALAR = """<ir_version: 9, opset_import: ["": 18]>
g (float x) => (float y) { a = Identity(x) y = Neg(a) }"""
DEFAULTS = """<ir_version: 3, opset_import: ["": 8]>
g (float[2, 4] x, float[4, 3] w) => (float[2, 3] y) { y = MatMul(x, w) }"""
EMPTY = """<ir_version: 9, opset_import: ["": 18]> g (float[N] x) => (float[N] x) {}"""

WHOLE = {
    "If": (IF, {}, ["Relu", "If"]),
    "Loop": (LOOP, {}, ["Loop"]),
    "Scan": (SCAN, {}, ["Scan"]),
    "a function": (FUNCTION, {}, ["twice", "Relu"]),
    "another domain": (CUSTOM, {}, ["Gelu", "Relu"]),
    "float16": (
        HALF,
        {"w": weights(4, 3).astype(np.float16), "b": weights(3).astype(np.float16)},
        ["MatMul", "Add"],
    ),
    "integers": (
        INTEGERS,
        {"table": weights(5, 3), "axis": np.array([1])},
        ["Gather", "Cast", "Unsqueeze", "Mul"],
    ),
    "a scalar": (SCALAR, {}, ["Neg"]),
    "weights among the inputs": (DEFAULTS, {"w": weights(4, 3)}, ["MatMul"]),
    "no nodes": (EMPTY, {}, []),
}


@pytest.mark.parametrize("name", WHOLE)
def test_models_of_every_form_pass_through_whole(name: str) -> None:
    text, constants, left = WHOLE[name]
    model = model_of(text, constants)
    interface = [[value.name for value in part] for part in (model.graph.input, model.graph.output)]
    done = run_passes(model, PASSES, {"N": [1, 3]})
    assert [one.reason for one in done.passes if one.reason] == []
    assert operators(done.model) == left
    onnx.checker.check_model(done.model)
    given = [name for name in interface[0] if name not in constants]
    assert [value.name for value in done.model.graph.input] == given
    assert [value.name for value in done.model.graph.output] == interface[1]


PROJECT = """schema = 1
[model]
name = "block"
source = "block.onnx"
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
[targets.host]
platform = "linux-x86_64"
"""
WITH_AN_UNKNOWN_OPERATOR = (
    '<ir_version: 9, opset_import: ["": 18, "no.where": 1]>'
    " g (float[N] x) => (float[N] y) { a = no.where.Nothing(x) b = Sum(a) y = Neg(b) }"
)
BAD_PASSES = """import os
import signal

from onnx import numpy_helper

from edgesmith.simplify.passes import PASSES as OURS
from edgesmith.simplify.passes import Pass


def doubled(model):
    for tensor in model.graph.initializer:
        if tensor.name == "w2":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, "w2"))
    return model


def dying(model):
    os.kill(os.getpid(), signal.SIGSEGV)


PASSES = (
    Pass(name="doubled-weights", run=doubled),
    Pass(name="crash", run=dying),
    *OURS[:2],
    *OURS[2:],
)
"""


class Bench:
    """A project with a block as its model, and the clean-up's talk."""

    def __init__(self, folder: Path) -> None:
        (folder / "edgesmith.toml").write_text(PROJECT)
        (folder / "bad_passes.py").write_text(BAD_PASSES)
        self.project = load_project(folder / "edgesmith.toml", {})
        self.before, self.after = folder / "block.onnx", folder / "after.onnx"
        onnx_file.save(block(), self.before)
        self.said: list[str] = []
        events = EventStream()
        events.subscribe(lambda one: self.said.append(one.text) if _is_warning(one) else None)
        self.context = Context(events=events, cache=Cache(folder / "cache"))

    def run(self, passes: str = module.PASSES) -> CleanUp:
        return clean_up(
            self.project,
            self.before,
            self.after,
            sizes={"N": [1, 2]},
            context=self.context,
            passes=passes,
        )


def _is_warning(event: object) -> bool:
    return isinstance(event, Message) and event.level == "warning"


def test_passes_that_are_wrong_or_die_are_dropped_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = bench.run("bad_passes:PASSES")
    reasons = {one.name: one.reason for one in done.passes if one.reason}
    assert set(reasons) == {"doubled-weights", "crash"}
    assert reasons["doubled-weights"].startswith("its outputs differ by")
    assert "SIGSEGV" in reasons["crash"]
    assert done.changed
    assert operators(onnx.load(bench.after)) == ["Conv", "Relu", "Conv", "Add", "Relu"]
    assert len(bench.said) == 2
    assert "the pass crash was dropped" in bench.said[1]


def test_one_process_for_several_models_survives_each_of_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    names = ("broken", "first", "cut", "second")
    for name in ("first", "second"):
        onnx_file.save(block(), tmp_path / f"{name}.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"\xff" * 100)
    onnx.save(model_of(WITH_AN_UNKNOWN_OPERATOR), tmp_path / "cut.onnx")
    files = [(tmp_path / f"{name}.onnx", tmp_path / f"{name}.after") for name in names]
    found = clean_up_all(
        bench.project,
        files,
        sizes={"N": [1, 2]},
        context=bench.context,
        passes="bad_passes:PASSES",
    )
    assert [bool(one.reason) for one in found] == [True, False, True, False]
    assert found[1] == found[3]
    assert {one.name for one in found[1].passes if one.reason} == {"doubled-weights", "crash"}
    for (before, after), one in zip(files, found, strict=True):
        assert (before.read_bytes() == after.read_bytes()) is not one.changed


def test_what_was_cleaned_up_before_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    first = bench.run()
    data = bench.after.read_bytes()
    bench.after.unlink()
    monkeypatch.setattr(module, "call_worker", None)
    assert bench.run() == first
    assert bench.after.read_bytes() == data


def test_a_model_that_cannot_be_run_is_left_as_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    onnx.save(model_of(WITH_AN_UNKNOWN_OPERATOR), bench.before)
    done = bench.run()
    assert "can't load the model" in done.reason
    assert not done.changed
    assert bench.after.read_bytes() == bench.before.read_bytes()
    assert "the model is kept as it is" in bench.said[0]


def test_weights_beside_the_model_come_into_one_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    weights_file = tmp_path / "weights.bin"
    onnx.save_model(
        block(),
        bench.before,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=200,
    )
    work = Pipeline(project=bench.project, context=bench.context)
    done = work.simplified()
    assert done.value.nodes_after == 5
    assert sorted(path.name for path in done.folder.iterdir() if path.name[0] != ".") == [
        "model.onnx", "record.json"
    ]  # fmt: skip
    model = onnx.load(done.folder / "model.onnx", load_external_data=False)
    assert not any(tensor.external_data for tensor in model.graph.initializer)

    weights_file.write_bytes(weights_file.read_bytes()[:-1])
    again = Pipeline(project=bench.project, context=bench.context)
    with pytest.raises(ModelError, match=r"'weights\.bin' has \d+ bytes, the tensor"):
        again.simplified()
    weights_file.unlink()
    with pytest.raises(ModelError, match=r"'weights\.bin' is missing"):
        Pipeline(project=bench.project, context=bench.context).simplified()
