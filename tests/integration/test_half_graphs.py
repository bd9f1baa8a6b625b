"""Models in FP16: bodies, stored weights, operators with inputs in float, names, and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgesmith.errors import ModelError
from edgesmith.model import numeric
from edgesmith.quantize.half.proof import Proof
from edgesmith.quantize.half.result import half_report
from edgesmith.quantize.half.rounding import rounded
from half_files import (
    FLOAT,
    HALF,
    ROWS,
    everything,
    half_of,
    kinds,
    least_db,
    matmul,
    node,
    of_rows,
    overflowing,
    reasons,
)
from int8_files import IMAGES, drawn, files_of, model_of


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
