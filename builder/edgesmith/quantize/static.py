"""Static INT8 quantization to QDQ form, by onnxruntime.quantization."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.errors import ModelError, UsageError
from edgesmith.events import EventStream
from edgesmith.model import onnx_file
from edgesmith.quantize.activations import kept_activations
from edgesmith.quantize.audit import MASKS
from edgesmith.quantize.calibrate.thresholds import Range
from edgesmith.quantize.calibrate.watched import float_tensors, half_tensors
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.input_head import feed_integers, head_nodes
from edgesmith.quantize.integer_forms import (
    give_floats,
    pad_integers,
    read_floats,
    use_integer_forms,
)
from edgesmith.quantize.library import library_at_work, mend_order, operators_to_quantize
from edgesmith.quantize.placement import HEAVY, float_around, float_by_choice
from edgesmith.quantize.plain import other_gemms
from edgesmith.quantize.ranges import write_ranges

if TYPE_CHECKING:
    import onnx
    from onnxruntime.quantization import QuantType

# The first whose QuantizeLinear takes float16.
_HALF_SCALES_OPSET = 19
_NO_HALVES = ("Concat", "Softmax")


@dataclass(frozen=True, kw_only=True)
class QuantizationPlan:
    """What to quantize, with which ranges, and how.

    `model` is a file, `ranges` those of its tensors, `method` how they were found. `in_integers`
    names the nodes that are to compute in integers, `scales` are those of weights, as
    weight_overrides() gives them.
    """

    model: Path
    ranges: Mapping[str, Range]
    method: str
    encoding: Encoding
    in_integers: frozenset[str]
    scales: Mapping[str, list[dict[str, Any]]]


def quantize_static(plan: QuantizationPlan, output: Path, *, events: EventStream) -> None:
    """Writes the quantized model to `output`; raises ModelError."""
    from onnxruntime import quantization

    model = onnx_file.load(plan.model)
    halves = half_tensors(model)
    _require_half_scales(model, halves & plan.ranges.keys())
    ranges = output.with_suffix(".ranges.json")
    write_ranges(plan.ranges, halves, ranges)
    with library_at_work(plan.method, events):
        quantization.quantize_static(
            plan.model,
            output,
            None,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=operators_to_quantize(),
            per_channel=True,
            reduce_range=False,
            activation_type=_type(plan.encoding.activation_signed),
            weight_type=_type(plan.encoding.weight_signed),
            nodes_to_exclude=[n.name for n in model.graph.node if n.name not in plan.in_integers],
            calibrate_method=quantization.CalibrationMethod.MinMax,
            calibration_cache_path=ranges,
            # Without it, whether what moves numbers is quantized depends on the order of nodes.
            extra_options={
                "ForceQuantizeNoInputCheck": True,
                "TensorQuantOverrides": dict(plan.scales),
                "ActivationSymmetric": plan.encoding.symmetric,
                "QuantizeBias": not plan.encoding.float_bias,
            },
        )
    mend_order(output)
    quantized = onnx_file.load(output, shown_as="the quantized model")
    if not any(node.op_type == "QuantizeLinear" for node in quantized.graph.node):
        events.warning(_nothing(model))
    onnx_file.strip_traces(quantized)
    if feed_integers(quantized):
        events.debug("quantize: the fed integers are the first layer's quantized input")
    give_floats(quantized, model, plan.in_integers, fuses=plan.encoding.fuses)
    read_floats(quantized, plan.in_integers, fuses=plan.encoding.fuses)
    use_integer_forms(quantized)
    pad_integers(quantized)
    onnx_file.save(quantized, output)


def _nothing(model: onnx.ModelProto) -> str:
    kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
    if any(node.op_type in HEAVY for node in model.graph.node):
        return (
            "quantize: nothing is quantized, INT8 is the same as FP32: everything stays in float,"
            " for the reasons below"
        )
    return (
        "quantize: there is nothing to quantize, INT8 is the same as FP32: the model has"
        f' {kinds} (set [quantize] precision = "fp32")'
    )


def in_integers(model: onnx.ModelProto, in_float: Collection[str]) -> frozenset[str]:
    """The names of the nodes that can compute in integers and are not named `in_float`."""
    operators = operators_to_quantize()
    return frozenset(
        node.name
        for node in model.graph.node
        if node.op_type in operators and node.name not in in_float
    )


def kept_in_float(
    model: onnx.ModelProto,
    excluded: Collection[str],
    unheld: Collection[str],
    known: Collection[str],
    *,
    fuses: bool = False,
) -> dict[str, str]:
    """The nodes that stay in float though nobody `excluded` them, and why: by name.

    `unheld` are tensors that 8 bits can't hold; of those not `known` either nothing was observed.
    `fuses`: the target's engine makes what stands behind a convolution a part of it.
    """
    kept = {node.name: "it is preprocessing of integers" for node in head_nodes(model)}
    kept |= dict.fromkeys(kept_activations(model), "its bounds are no range of INT8")
    masks, operators, halves = set(unheld), operators_to_quantize(), half_tensors(model)
    unseen = set(float_tensors(model)) - set(known) - masks
    for node in model.graph.node:
        names = {*node.input, *node.output}
        if names & masks:
            kept[node.name] = MASKS
        elif names & unseen and node.op_type in operators:
            kept[node.name] = "it takes or gives nothing on the calibration data"
        elif node.op_type in _NO_HALVES and names & halves:
            kept[node.name] = f"ONNX Runtime has no integer form of {node.op_type} for float16"
        elif node.op_type == "QuickGelu":
            kept[node.name] = "with AVX-512, SiLU is faster in float"
    kept |= dict.fromkeys(other_gemms(model), "its bias is no constant row")
    floats = {*excluded, *kept}
    if fuses:
        kept |= dict.fromkeys(
            float_around(model, operators, floats), "its engine fuses it in float"
        )
    else:
        chosen = float_by_choice(model, operators, floats)
        kept |= dict.fromkeys(chosen, "with the conversions, integers are no faster there")
    return {name: why for name, why in kept.items() if name not in excluded}


def _require_half_scales(model: onnx.ModelProto, halves: Collection[str]) -> None:
    found = onnx_file.opset_of(model)
    if halves and found < _HALF_SCALES_OPSET:
        raise ModelError(
            f"the tensor '{min(halves)}' is float16, and opset {found} has no INT8 for that",
            where="model.opset",
            hint=f"set [model] opset = {_HALF_SCALES_OPSET} or newer, or compute in float32",
        )


def excluded_nodes(model: onnx.ModelProto, patterns: tuple[str, ...]) -> list[str]:
    """Names of the nodes that a pattern means; a pattern that means none is an error."""
    excluded: list[str] = []
    for index, pattern in enumerate(patterns):
        found = [
            node.name
            for node in model.graph.node
            if fnmatch.fnmatchcase(node.op_type, pattern) or fnmatch.fnmatchcase(node.name, pattern)
        ]
        if not found:
            kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
            raise UsageError(
                f"'{pattern}' matches no node name and no operator type of the model",
                where=f"quantize.exclude[{index}]",
                hint=f"operator types here: {kinds}; names: edgesmith inspect MODEL --graph",
            )
        excluded += found
    return excluded


def _type(signed: bool) -> QuantType:
    from onnxruntime.quantization import QuantType

    return QuantType.QInt8 if signed else QuantType.QUInt8
