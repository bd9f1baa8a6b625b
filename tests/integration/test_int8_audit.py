"""What is told of an INT8 model: what computes in float, and every tensor and layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgesmith.errors import GateError
from edgesmith.quantize import report as report_text
from edgesmith.quantize.audit import Asked, Audit, audit, fused_graph
from edgesmith.quantize.calibrate.distribution import Counter
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.library import operators_to_quantize
from edgesmith.quantize.ranges import ranges_by
from edgesmith.values import to_record
from int8_files import (
    AS_WRITTEN,
    GUARDED,
    IMAGES,
    U8S8,
    Array,
    drawn,
    int8_of,
    model_of,
    quantizer_of,
    sqnr_db,
    three_convs,
)


def audited(
    folder: Path,
    model: onnx.ModelProto,
    samples: Mapping[str, Array],
    *,
    exclude: tuple[str, ...] = (),
    encoding: Encoding = U8S8,
) -> Audit:
    quantizer = quantizer_of(folder, model, samples, exclude=exclude, encoding=encoding)
    fused = fused_graph(quantizer.quantize("minmax").path, GUARDED, scratch=folder)
    asked = Asked(
        prepared=quantizer.model,
        quantizable=operators_to_quantize(),
        excluded=quantizer.excluded,
        kept=quantizer.kept,
    )
    return audit(fused, asked)


def test_what_computes_in_float_is_named_with_its_reason(tmp_path: Path) -> None:
    model = three_convs()
    model.graph.node[1].op_type = "Softplus"
    model.graph.node[3].op_type = "HardSwish"
    found = audited(tmp_path, model, {"x0": IMAGES}, exclude=("conv2",))
    assert found.operators["QLinearConv"] == found.integer == 2
    reasons = {one.node: (one.reason, one.is_meant) for one in found.in_float}
    assert reasons["conv2"] == ("[quantize] exclude names it", True)
    assert reasons["relu0"] == ("ONNX Runtime has no integer form of Softplus", False)
    # What reads it is in float: integers would only add a conversion.
    assert reasons["relu1"] == ("with the conversions, integers are no faster there", True)
    assert reasons["relu2"] == reasons["relu1"]
    assert len(reasons) == 4
    report = {"audit": {"int8": to_record(found)}, "tensors": [], "weight_rounding": []}
    assert "  in float: relu0 (Softplus): ONNX Runtime has no integer" in "\n".join(
        report_text.describe(report)
    )
    with pytest.raises(GateError) as caught:
        report_text.require_integers(report, "host")
    told = caught.value.render()
    assert "1 operators compute in float: relu0 (Softplus)" in told
    assert "conv2" not in told


def test_a_network_all_in_integers_passes_strict(tmp_path: Path) -> None:
    found = audited(tmp_path, three_convs(), {"x0": IMAGES})
    assert (found.integer, found.floating, found.conversions) == (3, 0, 2)
    report_text.require_integers({"audit": {"int8": to_record(found)}}, "host")


@pytest.mark.parametrize("signed", [False, True], ids=["as on x86", "as on ARM"])
def test_signed_activations_are_fused_as_on_arm(signed: bool, tmp_path: Path) -> None:
    # A branch: on x86 signed activations that two take are not made unsigned.
    model = three_convs()
    model.graph.node.append(helper.make_node("Add", ["x1", "x3"], ["y"], name="add"))
    model.graph.output[0].name = "y"
    encoding = Encoding(
        name="s8s8", activation_signed=True, weight_signed=True, pairs=False,
        exact_here=False,
    )  # fmt: skip
    path = int8_of(tmp_path, model, {"x0": IMAGES}, encoding=encoding)
    fused = audit(fused_graph(path, GUARDED, scratch=tmp_path, signed=signed))
    assert (fused.floating == 0) == signed
    assert sqnr_db(tmp_path, {"x0": IMAGES[0]}, AS_WRITTEN) > 20


def test_every_tensor_is_told_with_its_range_and_its_noise(tmp_path: Path) -> None:
    values = drawn(100_000).reshape(-1)
    counters = {"plain": values, "constant": np.full(9, 3.0, np.float32),
                "masks": np.array([0, -np.inf], np.float32)}  # fmt: skip
    found = {}
    for name, held in counters.items():
        counter = Counter()
        counter.add(float(held.min()), float(held.max()), held)
        found[name] = counter.distribution()
    plain, constant, masks = report_text.tensors_told(found, ranges_by(found, "minmax"))
    assert plain["range"] == plain["seen"] == [values.min(), values.max()]
    step = (plain["range"][1] - plain["range"][0]) / 255
    noise = float(((np.round(values / step) * step - values) ** 2).sum())
    assert plain["sqnr_db"] == pytest.approx(10 * np.log10((values**2).sum() / noise), abs=0.2)
    assert constant["remark"] == "constant over the calibration data"
    assert masks["range"] is None
    assert masks["seen"] == ["-inf", 0.0]
    report = {"audit": {"int8": to_record(Audit(operators={}, integer=0, floating=0, conversions=0,
                                                layouts=0))},
              "tensors": [plain, constant, masks], "weight_rounding": []}  # fmt: skip
    report_text.write_report(tmp_path, report)
    text = "\n".join(report_text.describe(report_text.read_report(tmp_path)))
    assert "weakest tensor plain: 39." in text
    assert "the tensor constant is constant over the calibration data" in text


def test_preprocessing_in_float_is_meant(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "s"], ["scaled"], name="scale"),
        helper.make_node("Conv", ["scaled", "w"], ["y"], name="conv"),
    ]
    scales = np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 3, 1, 1)
    model = model_of(nodes, {"w": drawn(4, 3, 1, 1), "s": scales}, outputs={"y": [1, 4, 5, 5]},
                     inputs={"x": (TensorProto.UINT8, [1, 3, 5, 5])})  # fmt: skip
    frames = np.random.default_rng(0).integers(0, 256, (9, 1, 3, 5, 5), np.uint8)
    (left,) = audited(tmp_path, model, {"x": frames}).in_float
    assert (left.node, left.reason, left.is_meant) == (
        "scale", "it is preprocessing of integers", True,
    )  # fmt: skip
