"""Operators that ONNX Runtime has no integer kernel for, written with those that it has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.simplify.graph import Editing, attribute, rename_uses
from edgesmith.simplify.standard_forms import hard_sigmoid

if TYPE_CHECKING:
    import onnx

FORMED = ("HardSigmoid", "HardSwish")
_STEPS = 255
# What the quantizer appends to the name of a tensor that an output of the model is made of.
_RENAMED_OUTPUT = "_QuantizeLinear_Input"
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear")


def use_integer_forms(model: onnx.ModelProto) -> int:
    """Rewrites each HardSwish and HardSigmoid that stands between DequantizeLinear and
    QuantizeLinear, in place; returns how many.

    HardSigmoid is slope * clip(x + d, 0, 1 / slope) with d = offset / slope: a QLinearAdd of d
    whose output's steps reach from 0 to 1 / slope, which clips, and are then read as steps of
    1 / 255, which multiplies. HardSwish is x times that.
    """
    graph = Editing(model)
    found = [node for node in graph.graph.node if node.op_type in FORMED]
    rewritten = sum(_rewrite(graph, node) for node in found)
    if rewritten:
        graph.changed()
    graph.close()
    return rewritten


@dataclass(frozen=True, kw_only=True)
class _Gate:
    """A HardSigmoid in integers: `slope`, and `shift` that is added before it."""

    slope: float
    shift: float


def _rewrite(graph: Editing, node: onnx.NodeProto) -> bool:
    before = graph.producer.get(node.input[0])
    after = graph.only_user(node.output[0])
    if before is None or before.op_type != "DequantizeLinear":
        return False
    if after is None or after.op_type != "QuantizeLinear" or not _is_plain(graph, before):
        return False
    gate = _gate(node)
    zero = graph.constant(after.input[2]) if len(after.input) > 2 else None
    scale = graph.constant(after.input[1])
    if gate is None or zero is None or scale is None or zero.shape or scale.dtype != np.float32:
        return False
    if node.op_type == "HardSigmoid":
        _as_gate(graph, node, after, gate, zero.dtype)
    else:
        _as_product(graph, node, gate, zero.dtype)
    return True


def _is_plain(graph: Editing, dequantize: onnx.NodeProto) -> bool:
    """Whether it has one step and one zero point for all."""
    constants = [graph.constant(name) for name in dequantize.input[1:]]
    return len(constants) == 2 and all(one is not None and not one.shape for one in constants)


def _gate(node: onnx.NodeProto) -> _Gate | None:
    slope, offset = (1 / 6, 0.5) if node.op_type == "HardSwish" else hard_sigmoid(node)
    if slope <= 0 or offset <= 0:
        return None
    return _Gate(slope=slope, shift=offset / slope)


def _as_gate(graph: Editing, node: Any, after: Any, gate: _Gate, dtype: Any) -> None:
    total = _shifted(graph, node, gate, dtype)
    lowest = graph.add_constant(np.array(np.iinfo(dtype).min, dtype), f"{node.output[0]}/zero")
    readers = list(graph.users.get(after.output[0], []))
    after.input[0] = total
    after.input[1] = _scalar(graph, 1 / (gate.slope * _STEPS), f"{node.output[0]}/scale")
    after.input[2] = lowest
    told = _scalar(graph, 1 / _STEPS, f"{node.output[0]}/told")
    for reader in readers:
        reader.input[1], reader.input[2] = told, lowest
    graph.graph.node.remove(node)


def _as_product(graph: Editing, node: Any, gate: _Gate, dtype: Any) -> None:
    from onnx import helper

    name = node.output[0]
    lowest = graph.add_constant(np.array(np.iinfo(dtype).min, dtype), f"{name}/zero")
    scale = _scalar(graph, 1 / (gate.slope * _STEPS), f"{name}/scale")
    told = _scalar(graph, 1 / _STEPS, f"{name}/told")
    total = _shifted(graph, node, gate, dtype)
    integers, factor = graph.fresh(f"{name}/integers"), graph.fresh(f"{name}/factor")
    graph.insert_before(
        node,
        helper.make_node("QuantizeLinear", [total, scale, lowest], [integers], f"{node.name}/q"),
        helper.make_node("DequantizeLinear", [integers, told, lowest], [factor], f"{node.name}/dq"),
    )
    node.op_type = "Mul"
    node.input.append(factor)


def _shifted(graph: Editing, node: Any, gate: _Gate, dtype: Any) -> str:
    """x + shift, with the constant in integers too."""
    from onnx import helper

    name, limits = node.output[0], np.iinfo(dtype)
    constant = graph.add_constant(np.array(limits.max, dtype), f"{name}/shift")
    lowest = graph.add_constant(np.array(limits.min, dtype), f"{name}/shift_zero")
    scale = _scalar(graph, gate.shift / _STEPS, f"{name}/shift_scale")
    shift, total = graph.fresh(f"{name}/shift"), graph.fresh(f"{name}/shifted")
    graph.insert_before(
        node,
        helper.make_node("DequantizeLinear", [constant, scale, lowest], [shift], f"{node.name}/c"),
        helper.make_node("Add", [node.input[0], shift], [total], f"{node.name}/add"),
    )
    return total


def _scalar(graph: Editing, value: float, like: str) -> str:
    return graph.add_constant(np.array(value, np.float32), like)


def read_floats(
    model: onnx.ModelProto, in_integers: Collection[str], *, fuses: bool = False
) -> int:
    """What computes in float reads floats that are there as they are, in place, not what a
    QuantizeLinear for others makes of them; returns how often.

    `fuses`: what computes in integers has floats to give, too.
    """
    graph = Editing(model)
    changed = 0
    for node in graph.graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        before = graph.producer.get(node.input[0])
        if before is None or before.op_type != "QuantizeLinear":
            continue
        source = before.input[0]
        maker = graph.producer.get(source)
        if maker is not None and maker.op_type in _CONVERSIONS:
            continue
        if maker is not None and maker.name in in_integers and not fuses:
            continue
        for reader in list(graph.users.get(node.output[0], [])):
            if reader.name not in in_integers and reader.op_type not in _CONVERSIONS:
                rename_uses(reader, node.output[0], source)
                changed += 1
    if changed:
        graph.changed()
    graph.close()
    return changed


def pad_integers(model: onnx.ModelProto) -> int:
    """Zeros are put around the integers themselves, in place, where both sides have the same
    steps; returns how often. ONNX Runtime would convert to float and back."""
    graph = Editing(model)
    found = [node for node in graph.graph.node if _pads_between_integers(graph, node)]
    for node in found:
        before, after = graph.producer[node.input[0]], graph.only_user(node.output[0])
        assert after is not None
        del node.input[2:]
        graph.set_input(node, 0, before.input[0])
        node.input.append(before.input[2])
        node.output[0] = after.output[0]
        graph.graph.node.remove(after)
    return len(found) if graph.close() else 0


def _pads_between_integers(graph: Editing, node: onnx.NodeProto) -> bool:
    if not graph.is_standard(node, "Pad") or attribute(node, "mode") not in (None, b"constant"):
        return False
    value = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    is_zero = (len(node.input) == 2 or not node.input[2]) if value is None else not value.any()
    before, after = graph.producer.get(node.input[0]), graph.only_user(node.output[0])
    if not is_zero or len(node.input) > 3 or before is None or after is None:
        return False
    if before.op_type != "DequantizeLinear" or after.op_type != "QuantizeLinear":
        return False
    sides = [[graph.constant(name) for name in one.input[1:]] for one in (before, after)]
    return len(sides[0]) == len(sides[1]) == 2 and all(
        one is not None and other is not None and np.array_equal(one, other)
        for one, other in zip(*sides, strict=True)
    )


def give_floats(
    model: onnx.ModelProto,
    before: onnx.ModelProto,
    in_integers: Collection[str],
    *,
    fuses: bool = False,
) -> int:
    """A Gemm or MatMul that no node of `in_integers` reads gives floats, in place: its kernels can,
    without rounding to 8 bits; returns how many do.

    One that gives another tensor than in the float model `before` stays: its QuantizeLinear stands
    for a Relu or Clip too. `fuses`: all others can, too.
    """
    graph = Editing(model)
    given = {node.name: node.output[0] for node in before.graph.node if node.output}
    found = [
        node
        for node in graph.graph.node
        if node.name in in_integers
        and (fuses or node.op_type in ("Gemm", "MatMul"))
        and given.get(node.name) == node.output[0].removesuffix(_RENAMED_OUTPUT)
    ]
    changed = sum(_give_floats(graph, node, in_integers) for node in found)
    graph.close()
    return changed


def _give_floats(graph: Editing, node: Any, in_integers: Collection[str]) -> bool:
    after = graph.only_user(node.output[0])
    if after is None or after.op_type != "QuantizeLinear" or after.output[0] in graph.outputs:
        return False
    readers = list(graph.users.get(after.output[0], []))
    if any(one.op_type != "DequantizeLinear" for one in readers):
        return False
    users = [user for one in readers for user in graph.users.get(one.output[0], [])]
    outputs = [one for one in readers if one.output[0] in graph.outputs]
    if len(outputs) > 1 or any(user.name in in_integers for user in users):
        return False
    for reader in readers:
        graph.set_input(reader, 0, node.output[0])
    # An output keeps its name: what reads the others then reads that.
    for reader in sorted(readers, key=lambda one: one in outputs):
        graph.bypass(reader)
    return True
