"""Models in FP16: what it can't hold stays in FP32, is named, and the outputs agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.model import numeric, onnx_file
from edgesmith.quantize.calibrate.observation import observe
from edgesmith.quantize.half.convert import convert_to_half
from edgesmith.quantize.half.plan import Plan
from edgesmith.quantize.half.proof import Proof
from edgesmith.quantize.half.reading import read_graph
from edgesmith.quantize.half.result import HalfModel, half_report
from edgesmith.quantize.half.rewriting import in_half
from edgesmith.quantize.half.rounding import rounded
from edgesmith.quantize.prepare import prepare
from int8_files import IMAGES, Array, drawn, model_of, three_convs

node = helper.make_node
ROWS = drawn(8, 3, 16, seed=3)
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LOWEST = np.float32(np.finfo(np.float32).min)


def files_of(folder: Path, model: onnx.ModelProto, samples: Mapping[str, Array]) -> Path:
    """The samples' file, beside the prepared model."""
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "source.onnx")
    prepare(folder / "source.onnx", folder / "prepared.onnx")
    count = len(next(iter(samples.values())))
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(count)}
    stacked = {f"inputs/{name}": array for name, array in samples.items()}
    save_file(stacked, folder / "samples.safetensors", metadata)
    return folder / "samples.safetensors"


def half_of(
    folder: Path, model: onnx.ModelProto, samples: Mapping[str, Array], *exclude: str
) -> HalfModel:
    """The converted model, whose file is valid and keeps inputs and outputs."""
    stored = files_of(folder, model, samples)
    found = observe(folder / "prepared.onnx", stored, events=EventStream())
    made = convert_to_half(
        folder / "prepared.onnx", folder / "half.onnx", found=found, samples=stored,
        exclude=frozenset(exclude), events=EventStream(),
    )  # fmt: skip
    written = onnx.load(made.path)
    onnx.checker.check_model(written, full_check=True)
    for before, after in ((model.graph.input, written.graph.input),
                          (model.graph.output, written.graph.output)):  # fmt: skip
        kinds = [(one.name, one.type.tensor_type.elem_type) for one in before]
        assert kinds == [(one.name, one.type.tensor_type.elem_type) for one in after]
    return made


def of_rows(nodes: list[onnx.NodeProto], weights: dict[str, Array], **more: Any) -> Any:
    outputs = more.pop("outputs", {"y": ["b", 16]})
    return model_of(nodes, weights, inputs={"x": (FLOAT, ["b", 16])}, outputs=outputs, **more)


def reasons(made: HalfModel) -> dict[str, str]:
    return {one.node: one.reason for one in made.kept}


def least_db(made: HalfModel) -> float:
    return min(one.sqnr_db for one in made.outputs if one.sqnr_db is not None)


def kinds(path: Path) -> Counter[str]:
    return Counter(one.op_type for one in onnx.load(path).graph.node)


def everything(folder: Path) -> Plan:
    """The plain conversion, of every node."""
    graph = read_graph(onnx_file.load(folder / "prepared.onnx"))
    return Plan(graph=graph, half=frozenset(graph.nodes))


def matmul(name: str, source: str, weight: str = "w") -> onnx.NodeProto:
    return node("MatMul", [source, weight], [name], name=name)


def test_convolutions_are_converted_between_two_casts(tmp_path: Path) -> None:
    made = half_of(tmp_path, three_convs(), {"x0": IMAGES})
    assert made.kept == ()
    assert made.converted == 6
    assert kinds(made.path) == {"Conv": 3, "Relu": 3, "Cast": 2}
    assert least_db(made) > 60
    assert made.path.stat().st_size < 0.6 * (tmp_path / "source.onnx").stat().st_size


def overflowing() -> onnx.ModelProto:
    """A large sum that is divided again."""
    weights = {"k": np.array(1000, np.float32), "w": drawn(8, 8, 3, 3) * 30,
               "d": np.array(30000, np.float32), "w2": drawn(8, 8, 3, 3, seed=1) / 8}  # fmt: skip
    nodes = [
        node("Mul", ["x", "k"], ["a"], name="up"),
        node("Conv", ["a", "w"], ["c"], name="large", pads=[1, 1, 1, 1]),
        node("Transpose", ["c"], ["t"], name="turn", perm=[0, 1, 3, 2]),
        node("Div", ["t", "d"], ["e"], name="down"),
        node("Conv", ["e", "w2"], ["y"], name="small", pads=[1, 1, 1, 1]),
    ]
    shape = ["b", 8, 12, 12]
    return model_of(nodes, weights, inputs={"x": (FLOAT, shape)}, outputs={"y": shape})


def test_layers_that_overflow_stay_in_float_and_are_named(tmp_path: Path) -> None:
    made = half_of(tmp_path, overflowing(), {"x": IMAGES})
    feeds = {"x": IMAGES[0]}
    (broken,) = _outputs(rounded(everything(tmp_path)), feeds, "y")
    assert not np.isfinite(broken).all()
    for naive in (in_half(everything(tmp_path)), _by_onnxruntime(tmp_path)):
        naive.graph.output.append(helper.make_tensor_value_info("c", HALF, ["b", 8, 12, 12]))
        (sums,) = _outputs(naive, feeds, "c")
        assert np.isinf(sums).any()
    told = reasons(made)
    assert "beyond a quarter of FP16's 65504" in told["large"]
    assert set(told) == {"up", "large", "turn", "down"}
    assert made.converted == 1
    assert kinds(made.path)["Cast"] == 2
    assert least_db(made) > 50


def _outputs(model: onnx.ModelProto, feeds: Mapping[str, Array], *names: str) -> list[Array]:
    found: list[Array] = numeric.open_session(model.SerializeToString()).run(names, dict(feeds))
    return found


def _by_onnxruntime(folder: Path) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(onnx.load(folder / "prepared.onnx"), keep_io_types=True)


def test_cpus_hide_an_overflow_that_rounding_shows(tmp_path: Path) -> None:
    weights = {"k": np.array(1000, np.float32)}
    nodes = [node("Mul", ["x", "k"], ["a"], name="up"), node("Erf", ["a"], ["e"], name="erf"),
             node("Div", ["a", "k"], ["y"], name="down")]  # fmt: skip
    model = of_rows([*nodes, node("Identity", ["e"], ["z"], name="z")], weights,
                    outputs={"y": ["b", 16], "z": ["b", 16]})  # fmt: skip
    files_of(tmp_path, model, {"x": ROWS * 100})
    finite = []
    for one in (in_half(everything(tmp_path)), rounded(everything(tmp_path))):
        found = _outputs(one, {"x": ROWS[0] * 100}, "y")
        finite.append(bool(np.isfinite(found).all()))
    assert finite == [True, False]


@pytest.mark.parametrize(
    ("scale", "told"), [(1e5, "more than FP16's largest"), (1e-9, "zero in FP16"),
                        (1e-6, "has few bits")],
)  # fmt: skip
def test_weights_that_fp16_does_not_hold(scale: float, told: str, tmp_path: Path) -> None:
    weights = {"w": drawn(16, 16) * np.float32(scale), "v": drawn(16, 16) / 4,
               "k": np.array(1 / scale, np.float32)}  # fmt: skip
    nodes = [matmul("m", "x"), node("Mul", ["m", "k"], ["s"], name="scale"), matmul("y", "s", "v")]
    made = half_of(tmp_path, of_rows(nodes, weights), {"x": ROWS})
    assert "the weight 'w'" in reasons(made)["m"]
    assert told in reasons(made)["m"]
    assert "y" not in reasons(made)
    assert least_db(made) > 50


def attention(mask: list[onnx.NodeProto], constant: Array) -> onnx.ModelProto:
    """Scores of rows with rows, to which `m` is added; m is made of `keep`, 1 for what is seen."""
    nodes = [
        node("Transpose", ["x"], ["xt"], name="turn", perm=[0, 2, 1]),
        node("MatMul", ["x", "xt"], ["s"], name="scores"),
        *mask,
        node("Add", ["s", "m"], ["sm"], name="masked"),
        node("Softmax", ["sm"], ["p"], name="shares"),
        node("MatMul", ["p", "x"], ["y"], name="mix"),
    ]
    weights = {"one": np.array(1, np.float32), "c": constant, "zero": np.array(0, np.float32)}
    return model_of(
        nodes, weights, inputs={"x": (FLOAT, ["b", 6, 16]), "keep": (TensorProto.BOOL, ["b", 6])},
        outputs={"y": ["b", 6, 16]}, opset=17,
    )  # fmt: skip


SCALED = [
    node("Cast", ["keep"], ["k"], name="k", to=FLOAT),
    node("Sub", ["one", "k"], ["n"], name="n"),
    node("Mul", ["n", "c"], ["m"], name="scaled"),
]
CHOSEN = [node("Where", ["keep", "zero", "c"], ["m"], name="chosen")]


# Infinity times zero is no number in FP32 either.
MASKS = [("scaled", LOWEST), ("scaled", -1e9), ("chosen", LOWEST), ("chosen", -np.inf)]


@pytest.mark.parametrize(("kind", "constant"), MASKS)
def test_masks_before_a_softmax_need_no_float(kind: str, constant: float, tmp_path: Path) -> None:
    model = attention(SCALED if kind == "scaled" else CHOSEN, np.array(constant, np.float32))
    keep = np.random.default_rng(0).random((8, 1, 6)) < 0.6
    keep[..., 0] = True
    made = half_of(tmp_path, model, {"x": drawn(8, 1, 6, 16) / 2, "keep": keep})
    assert made.kept == ()
    assert least_db(made) > 50


def test_a_mask_that_is_read_otherwise_stays_in_float(tmp_path: Path) -> None:
    model = attention(SCALED, np.array(LOWEST))
    model.graph.output.append(helper.make_tensor_value_info("m", FLOAT, ["b", 6]))
    keep = np.random.default_rng(0).random((8, 1, 6)) < 0.6
    keep[..., 0] = True
    made = half_of(tmp_path, model, {"x": drawn(8, 1, 6, 16) / 2, "keep": keep})
    assert {"scaled", "masked", "shares"} <= reasons(made).keys()
    (wanted, mask) = numeric.open_session(made.path).run(
        None, {"x": drawn(8, 1, 6, 16)[0] / 2, "keep": keep[0]}
    )
    assert np.isfinite(wanted).all()
    assert mask.min() == (LOWEST if not keep[0].all() else 0)
    assert least_db(made) > 50


def test_bounds_that_never_bind_keep_nothing_in_float(tmp_path: Path) -> None:
    weights = {"w": drawn(16, 16) / 4, "low": np.array(LOWEST), "high": np.array(-LOWEST)}
    nodes = [matmul("m", "x"), node("Clip", ["m", "low", "high"], ["y"], name="clip")]
    made = half_of(tmp_path, of_rows(nodes, weights), {"x": ROWS})
    assert made.kept == ()
    excluded = half_of(tmp_path, of_rows(nodes, weights), {"x": ROWS}, "clip")
    stored = {one.name: one for one in onnx.load(excluded.path).graph.initializer}
    assert LOWEST in [numpy_helper.to_array(one).min() for one in stored.values()]


def branches(*, loop: bool) -> onnx.ModelProto:
    """A body that reads a result and a weight of the graph around it."""

    def info(name: str, kind: int = FLOAT, shape: Any = ("b", 16)) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    if loop:
        body = helper.make_graph(
            [node("Identity", ["go"], ["went"]), node("Mul", ["state", "v"], ["scaled"]),
             node("Add", ["scaled", "m"], ["next"])], "body",
            [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("state")],
            [info("went", TensorProto.BOOL, []), info("next")],
        )  # fmt: skip
        inner = node("Loop", ["times", "yes", "x"], ["r"], name="inner", body=body)
    else:
        bodies = {
            name: helper.make_graph([node(kind, ["m", "v"], [name])], name, [], [info(name)])
            for name, kind in (("then_branch", "Mul"), ("else_branch", "Add"))
        }
        inner = node("If", ["yes"], ["r"], name="inner", **bodies)
    nodes = [matmul("m", "x"), inner, node("Mul", ["r", "v"], ["a"], name="after"),
             matmul("y", "a")]  # fmt: skip
    weights = {"w": drawn(16, 16) / 4, "v": drawn(16), "yes": np.array(True),
               "times": np.array(2, np.int64)}  # fmt: skip
    return of_rows(nodes, weights)


@pytest.mark.parametrize("loop", [False, True], ids=["If", "Loop"])
def test_bodies_stay_in_float(loop: bool, tmp_path: Path) -> None:
    made = half_of(tmp_path, branches(loop=loop), {"x": ROWS})
    assert set(reasons(made)) == {"inner"}
    assert least_db(made) > 50


def test_a_model_in_fp16_stays_as_it_is(tmp_path: Path) -> None:
    weights = {"w": (drawn(16, 16) / 4).astype(np.float16)}
    model = model_of([matmul("m", "x"), node("Relu", ["m"], ["y"], name="relu")], weights,
                     inputs={"x": (HALF, ["b", 16])}, outputs={})  # fmt: skip
    model.graph.output.append(helper.make_tensor_value_info("y", HALF, ["b", 16]))
    made = half_of(tmp_path, model, {"x": ROWS.astype(np.float16)})
    assert [one.node for one in made.kept] == [""]
    assert "nothing to convert" in made.kept[0].reason
    assert made.converted == 2
    model.graph.node.insert(1, node("Cast", ["m"], ["mf"], name="to float", to=FLOAT))
    model.graph.node.insert(2, node("Exp", ["mf"], ["e"], name="exp"))
    model.graph.node.insert(3, node("Cast", ["e"], ["eh"], name="to half", to=HALF))
    model.graph.node[4].input[0] = "eh"
    mixed = half_of(tmp_path, model, {"x": ROWS.astype(np.float16)})
    assert "meant to be" in reasons(mixed)["exp"]


def test_weights_stored_in_fp16_are_computed_with(tmp_path: Path) -> None:
    """A file that is small on disk only: FP16 weights, FP16 inputs, all else FP32."""
    nodes = [
        node("Cast", ["x"], ["xf"], name="widen", to=FLOAT),
        node("Cast", ["w"], ["wf"], name="unpack", to=FLOAT),
        matmul("m", "xf", "wf"),
        node("Relu", ["m"], ["y"], name="relu"),
    ]
    model = model_of(nodes, {"w": (drawn(16, 16) / 4).astype(np.float16)},
                     inputs={"x": (HALF, ["b", 16])}, outputs={"y": ["b", 16]})  # fmt: skip
    made = half_of(tmp_path, model, {"x": ROWS.astype(np.float16)})
    assert made.kept == ()
    assert kinds(made.path) == {"MatMul": 1, "Relu": 1, "Cast": 1}


def test_operators_with_inputs_in_float(tmp_path: Path) -> None:
    weights = {
        "scales": np.array([1, 1, 2, 2], np.float32), "w": drawn(8, 8, 3, 3) / 8,
        "from": np.array(0, np.float32), "to": np.array(24, np.float32),
        "by": np.array(1, np.float32), "k": np.array([3]), "axis": np.array(3),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        node("Resize", ["c", "", "scales"], ["r"], name="resize", mode="linear"),
        node("Range", ["from", "to", "by"], ["g"], name="range"),
        node("Add", ["r", "g"], ["a"], name="add"),
        node("CumSum", ["a", "axis"], ["s"], name="sum"),
        node("TopK", ["s", "k"], ["y", "i"], name="best"),
    ]
    model = model_of(
        nodes, weights, inputs={"x": (FLOAT, ["b", 8, 12, 12])}, outputs={"y": ["b", 8, 24, 3]}
    )
    model.graph.output.append(
        helper.make_tensor_value_info("i", TensorProto.INT64, ["b", 8, 24, 3])
    )
    made = half_of(tmp_path, model, {"x": IMAGES})
    assert {"range", "sum"} <= reasons(made).keys()
    assert made.converted == 1
    assert least_db(made) > 50
    assert [one.equal for one in made.outputs][1] > 0.95


def test_normalizations_are_fp16_with_their_operators_and_float_in_pieces(tmp_path: Path) -> None:
    weights = {"w": drawn(16, 16), "one": np.ones(16, np.float32), "two": np.array(2, np.float32),
               "zero": np.zeros(16, np.float32), "e": np.array(1e-6, np.float32)}  # fmt: skip
    nodes = [
        matmul("m", "x"),
        node("LayerNormalization", ["m", "one", "zero"], ["n"], name="norm"),
        matmul("h", "n"),
        node("Pow", ["h", "two"], ["q"], name="square"),
        node("ReduceMean", ["q"], ["v"], name="mean", axes=[-1]),
        node("Add", ["v", "e"], ["ve"], name="epsilon"),
        node("Sqrt", ["ve"], ["d"], name="root"),
        node("Div", ["h", "d"], ["z"], name="divide"),
        matmul("p", "z"),
        node("Softmax", ["p"], ["y"], name="shares"),
    ]
    made = half_of(tmp_path, of_rows(nodes, weights, opset=17), {"x": ROWS})
    assert set(reasons(made)) == {"square", "mean", "epsilon", "root"}
    assert "conversions would cost more" in reasons(made)["mean"]
    # In and out of what is in FP32, and at the model's ends.
    assert kinds(made.path)["Cast"] == 4
    assert least_db(made) > 45


def test_a_weight_of_both_precisions_is_stored_twice(tmp_path: Path) -> None:
    weights = {"w": drawn(16, 16) / 4, "large": np.array(1e5, np.float32)}
    nodes = [matmul("a", "x"), node("Mul", ["w", "large"], ["wl"], name="scale"),
             matmul("b", "x", "wl"), node("Div", ["b", "large"], ["c"], name="down"),
             node("Add", ["a", "c"], ["s"], name="plus"), matmul("y", "s")]  # fmt: skip
    made = half_of(tmp_path, of_rows(nodes, weights), {"x": ROWS})
    assert {"scale", "b", "down"} <= reasons(made).keys()
    assert not {"a", "y"} & reasons(made).keys()
    stored = {one.name: one.data_type for one in onnx.load(made.path).graph.initializer}
    assert stored["w"] == FLOAT
    assert stored["w/half"] == HALF
    assert least_db(made) > 50


def test_outputs_that_are_inputs_or_read_inside(tmp_path: Path) -> None:
    nodes = [matmul("m", "x"), node("Relu", ["m"], ["r"], name="relu"), matmul("y", "m")]
    shape = ["b", 16]
    outputs = dict.fromkeys(("x", "m", "r", "y"), shape)
    made = half_of(tmp_path, of_rows(nodes, {"w": drawn(16, 16) / 4}, outputs=outputs), {"x": ROWS})
    # It reads and gives what is in FP32 anyway.
    assert set(reasons(made)) == {"relu"}
    assert kinds(made.path)["Cast"] == 3
    (same, *_) = numeric.open_session(made.path).run(None, {"x": ROWS[0]})
    assert np.array_equal(same, ROWS[0])
    assert least_db(made) > 50


def test_names_that_are_taken(tmp_path: Path) -> None:
    nodes = [matmul("x/half", "x"), node("Relu", ["x/half"], ["y/half"], name="x/half/cast"),
             matmul("w/half", "y/half"), matmul("y", "w/half")]  # fmt: skip
    made = half_of(tmp_path, of_rows(nodes, {"w": drawn(16, 16) / 4}), {"x": ROWS})
    assert made.converted == 4
    assert least_db(made) > 50


def test_excluded_nodes_indices_and_angles_stay_in_float(tmp_path: Path) -> None:
    weights = {"w": drawn(16, 16), "k": np.array(0.01, np.float32), "t": drawn(5000, 16)}
    nodes = [
        matmul("m", "x"),
        node("Abs", ["x"], ["abs"], name="size"),
        node("Div", ["abs", "k"], ["f"], name="steps"),
        node("Cast", ["f"], ["i"], name="index", to=TensorProto.INT64),
        node("Gather", ["t", "i"], ["g"], name="table"),
        node("ReduceMax", ["g"], ["gm"], name="most", axes=[1], keepdims=0),
        node("Mul", ["m", "gm"], ["p"], name="times"),
        node("Sin", ["p"], ["s"], name="sine"),
        matmul("y", "s"),
    ]
    made = half_of(tmp_path, of_rows(nodes, weights, opset=17), {"x": ROWS}, "y")
    assert reasons(made)["y"] == "[quantize] exclude names it"
    assert "an index, or an angle" in reasons(made)["size"]
    assert "an index, or an angle" in reasons(made)["steps"]
    assert "an index, or an angle" in reasons(made)["times"]
    assert least_db(made) > 50


def test_a_divisor_that_vanishes_is_found_by_running(tmp_path: Path) -> None:
    """Large enough to be FP16 for the most, but one value is rounded to zero."""
    weights = {"w": drawn(16, 16) / 4, "k": np.geomspace(1e-8, 1, 16, dtype=np.float32)}
    nodes = [matmul("m", "x"), node("Abs", ["x"], ["a"], name="size"),
             node("Mul", ["a", "k"], ["b"], name="shrink"),
             node("Div", ["b", "b"], ["one"], name="share"),
             node("Mul", ["m", "one"], ["y"], name="times")]  # fmt: skip
    made = half_of(tmp_path, of_rows(nodes, weights), {"x": ROWS})
    told = reasons(made)
    assert "is not finite with the calibration data" in told["share"]
    assert "m" not in told
    assert least_db(made) > 50


def test_equal_models_give_equal_bytes_and_a_report(tmp_path: Path) -> None:
    first = half_of(tmp_path / "1", overflowing(), {"x": IMAGES})
    second = half_of(tmp_path / "2", overflowing(), {"x": IMAGES})
    assert first.path.read_bytes() == second.path.read_bytes()
    report = half_report(first)
    assert report == half_report(second)
    assert report["converted"] == 1
    assert report["kept_in_float"] == 4
    assert report["kept"][1]["node"] == "large"
    assert report["outputs"][0]["sqnr_db"] > 50


def test_a_model_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    samples = files_of(tmp_path, overflowing(), {"x": IMAGES})
    proof = Proof(reference=tmp_path / "prepared.onnx", samples=samples)
    with pytest.raises(ModelError) as caught:
        proof.require(rounded(everything(tmp_path)).SerializeToString())
    assert "'y' is not finite" in caught.value.what
    assert "exclude" in caught.value.hint


def test_operators_of_onnxruntime(tmp_path: Path) -> None:
    weights = {"w": drawn(16, 16) / 4, "g": np.ones(16, np.float32)}
    nodes = [
        matmul("m", "x"),
        node("QuickGelu", ["m"], ["q"], name="gelu", domain="com.microsoft", alpha=1.0),
        node("SkipSimplifiedLayerNormalization", ["q", "x", "g"], ["n", "", "", "sum"],
             name="norm", domain="com.microsoft"),
        node("Mul", ["n", "sum"], ["y"], name="times"),
    ]  # fmt: skip
    model = of_rows(nodes, weights, outputs={"y": ["b", 16]})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    made = half_of(tmp_path, model, {"x": ROWS})
    assert made.kept == ()
    assert least_db(made) > 50
