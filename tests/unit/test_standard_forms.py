"""Operators in the forms that kernels are fast with, each proven in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from edgesmith.simplify.passes import PASSES
from edgesmith.simplify.sequence import run_passes

NAMES = ("hard-swish", "hard-sigmoid", "image-means", "constant-operands")
FORMS = [one for one in PASSES if one.name in NAMES]
IMAGE = "float[N,4,5,6] x"


def graph(body: str, *, takes: str = IMAGE, opset: int = 20) -> onnx.ModelProto:
    head = f'<ir_version: 9, opset_import: ["": {opset}]> g ({takes}) => (float[A,B,C,D] y)'
    constants = (
        "<float three = {3}, float six = {6}, float sixth = {0.16666667}, float zero = {0},"
        " float[4,1,1] some = {1, -2, 4, 0.5}, int64[2] places = {2, 3}, int64[2] back = {-1, -2},"
        " int64[1] rows = {2}, float[4,1,1] odd = {1, 3, 2, 4}, float[4,1,1] hole = {1, 0, 2, 3}>"
    )
    model = parser.parse_model(f"{head} {constants} {{ {body} }}")
    weights = np.random.default_rng(0).standard_normal((4, 4, 1, 1)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    return model


def formed(model: onnx.ModelProto) -> str:
    """The operators afterwards; the pass is proven to keep the outputs."""
    found = run_passes(model, FORMS, {"N": [1, 3]})
    assert [one.reason for one in found.passes] == [""] * 4
    return " ".join(node.op_type for node in found.model.graph.node)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("y = ReduceMean <keepdims = 1> (x, places)", "GlobalAveragePool"),
        ("y = ReduceMean (x, back)", "GlobalAveragePool"),
        ("y = ReduceMean <keepdims = 0> (x, places)", "GlobalAveragePool Flatten"),
        ("y = ReduceMean <keepdims = 1> (x, rows)", "ReduceMean"),
        ("y = ReduceMean <keepdims = 1> (x)", "ReduceMean"),
        ("h = HardSigmoid <alpha = 0.16666667> (x) y = Mul (x, h)", "HardSwish"),
        ("h = HardSigmoid <alpha = 0.16666667> (x) y = Mul (h, x)", "HardSwish"),
        ("h = HardSigmoid <alpha = 0.2> (x) y = Mul (x, h)", "HardSigmoid Mul"),
        ("a = Add (x, three) c = Clip (a, zero, six) d = Div (c, six) y = Mul (x, d)", "HardSwish"),
        ("a = Add (three, x) c = Clip (a, zero, six) m = Mul (x, c) y = Div (m, six)", "HardSwish"),
        (
            "a = Add (x, three) c = Clip (a, zero, six) m = Mul (c, x) y = Mul (sixth, m)",
            "HardSwish",
        ),
        ("a = Add (x, six) c = Clip (a, zero, six) m = Mul (c, x) y = Mul (m, sixth)",
         "Add Clip Mul Mul"),
        ("c = Conv (x, w) y = HardSigmoid (c)", "Conv Clip"),
        ("c = Conv (x, w, zeros4) y = HardSigmoid <alpha = 0.3, beta = 0.1> (c)", "Conv Clip"),
        ("c = Conv (x, w) h = HardSigmoid (c) y = Add (c, h)", "Conv HardSigmoid Add"),
        ("y = Sub (x, some)", "Add"),
        ("y = Div (x, some)", "Mul"),
        ("y = Div (x, odd)", "Div"),
        ("y = Div (x, hole)", "Div"),
        ("y = Sub (some, x)", "Sub"),
        ("y = Div (some, x)", "Div"),
    ],
)  # fmt: skip
def test_a_form_is_taken_where_it_is_the_same(body: str, left: str) -> None:
    model = graph(body.replace("zeros4", "bias"))
    if "bias" in body or "zeros4" in body:
        bias = np.array([1, 2, -3, 0.5], np.float32)
        model.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    if "keepdims = 0" in body:
        del model.graph.output[0].type.tensor_type.shape.dim[2:]
    assert formed(model) == left


def test_a_hard_swish_needs_its_opset() -> None:
    body = "h = HardSigmoid <alpha = 0.16666667> (x) y = Mul (x, h)"
    assert formed(graph(body, opset=13)) == "HardSigmoid Mul"


def test_the_features_of_a_sequence_are_no_image() -> None:
    model = graph("y = ReduceMean (x, rows)", takes="float[N,4,5] x")
    del model.graph.output[0].type.tensor_type.shape.dim[3:]
    assert formed(model) == "ReduceMean"


def test_what_a_floor_would_show_stays_a_quotient() -> None:
    """41 times the float nearest to 1/41 is less than 1."""
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]> g (int64[N] i) => (float[N] y)'
        " <float places = {41}> { f = Cast <to = 1> (i) d = Div (f, places) y = Floor (d) }"
    )
    assert formed(model) == "Cast Div Floor"


def test_means_without_names_are_told_apart() -> None:
    model = graph(
        "a = ReduceMean <keepdims = 0> (x, places) b = ReduceMean <keepdims = 0> (x, back)"
        " y = Add (a, b)"
    )
    del model.graph.output[0].type.tensor_type.shape.dim[2:]
    assert formed(model) == "GlobalAveragePool Flatten GlobalAveragePool Flatten Add"


def test_only_floats_have_kernels() -> None:
    model = graph("y = ReduceMean (x, places)", takes="int32[N,4,5,6] x")
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    assert formed(model) == "ReduceMean"
