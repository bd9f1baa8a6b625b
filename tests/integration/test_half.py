"""Models in FP16: what it can't hold stays in FP32, is named, and the outputs agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.model import numeric
from edgesmith.quantize.half.rewriting import in_half
from edgesmith.quantize.half.rounding import rounded
from half_files import (
    FLOAT,
    HALF,
    LOWEST,
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
from int8_files import IMAGES, Array, drawn, files_of, model_of, three_convs


def test_convolutions_are_converted_between_two_casts(tmp_path: Path) -> None:
    made = half_of(tmp_path, three_convs(), {"x0": IMAGES})
    assert made.kept == ()
    assert made.converted == 6
    assert kinds(made.path) == {"Conv": 3, "Relu": 3, "Cast": 2}
    assert least_db(made) > 60
    assert made.path.stat().st_size < 0.6 * (tmp_path / "source.onnx").stat().st_size


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
