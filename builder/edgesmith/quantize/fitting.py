"""Ranges fitted to what their tensors are for: no step is spent where it tells nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.quantize.activations import removed_activations
from edgesmith.quantize.calibrate.thresholds import LEVELS, Range
from edgesmith.simplify.graph import Editing, attribute
from edgesmith.simplify.standard_forms import clip_bounds, hard_sigmoid

if TYPE_CHECKING:
    import onnx

# Sigmoid's outputs in steps of 1/256.
_SIGMOID: Range = (0.0, (LEVELS - 1) / LEVELS)
_HARD_SWISH_ZERO = -3.0
# SiLU's smallest value is at about -1.28; below, it comes ever closer to zero.
_SILU_SEARCH = np.linspace(-20.0, -2.0, 1801)
# An input of a Concat that is read elsewhere too may get steps so many times as wide, and no more.
_WIDEST_STEP = 1.5
_SAME_STEP = ("MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice")


def fitted_ranges(
    model: onnx.ModelProto, ranges: Mapping[str, Range], in_integers: Collection[str]
) -> dict[str, Range]:
    """The ranges with these changes, where nothing else reads the tensor, and what reads it is
    `in_integers`:

    before HardSwish, HardSigmoid, Sigmoid and SiLU without what they make constant; after Sigmoid
    at most what it can give. The inputs of a Concat share the range of its output, as long as that
    makes the steps of a tensor that is read elsewhere at most 1.5 times as wide: equal scales are
    copied as they stand.
    """
    graph = Editing(model)
    fitted = with_pads(model, ranges)
    for node in graph.graph.node:
        if node.op_type == "Sigmoid" and node.output[0] in fitted:
            low, high = fitted[node.output[0]]
            fitted[node.output[0]] = max(low, _SIGMOID[0]), min(high, _SIGMOID[1])
    for name in ranges:
        low, high = _useful(graph, name, fitted, in_integers)
        fitted[name] = max(fitted[name][0], low), min(fitted[name][1], high)
    _share(graph, fitted, removed_activations(model))
    return fitted


def with_pads(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges, and for what pads a tensor the tensor's: zero is in it."""
    found = dict(ranges)
    for node in model.graph.node:
        if node.op_type == "Pad" and node.input[0] in found:
            found.setdefault(node.output[0], found[node.input[0]])
    return found


def symmetric_ranges(ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges with zero in their middle."""
    widths = {name: max(abs(low), abs(high)) for name, (low, high) in ranges.items()}
    return {name: (-width, width) for name, width in widths.items()}


def _useful(
    graph: Editing, name: str, ranges: Mapping[str, Range], in_integers: Collection[str]
) -> Range:
    users = graph.users.get(name, [])
    everything = (-np.inf, np.inf)
    if not users or name in graph.outputs:
        return everything
    kinds = {node.op_type for node in users}
    if kinds == {"HardSwish"}:
        return _HARD_SWISH_ZERO, np.inf
    if kinds == {"Sigmoid"} and len(users) == 1 and users[0].name in in_integers:
        return _sigmoid_ends(ranges[users[0].output[0]][1])
    if kinds == {"HardSigmoid"} and len(users) == 1:
        slope, offset = hard_sigmoid(users[0])
        holds_zero = slope > 0 and 0 <= offset <= 1
        return (-offset / slope, (1 - offset) / slope) if holds_zero else everything
    product = _silu_output(graph, users)
    readers = graph.users.get(product, [])
    if product in ranges and readers and all(one.name in in_integers for one in readers):
        return _silu_zero(ranges[product]), np.inf
    return everything


def _sigmoid_ends(highest: float) -> Range:
    """The inputs beyond which the outputs, of steps up to `highest`, are the first and the last."""
    half = max(highest, 1e-30) / (LEVELS - 1) / 2
    end = float(np.log1p(-half) - np.log(half))
    return -end, end if highest >= _SIGMOID[1] else np.inf


def _silu_output(graph: Editing, users: Sequence[Any]) -> str:
    """The product of a value with its Sigmoid, if that is all that reads the value."""
    if len(users) == 1 and users[0].op_type == "QuickGelu":
        return str(users[0].output[0])
    for gate, product in (users, users[::-1]) if len(users) == 2 else ():
        if gate.op_type == "Sigmoid" and product.op_type == "Mul":
            is_silu = graph.only_user(gate.output[0]) is product
            return str(product.output[0]) if is_silu else ""
    return ""


def _silu_zero(output: Range) -> float:
    """The value below which SiLU is within half a step of zero."""
    half = (output[1] - output[0]) / (LEVELS - 1) / 2
    values = _SILU_SEARCH / (1 + np.exp(-_SILU_SEARCH))
    near = _SILU_SEARCH[np.abs(values) <= half]
    return float(near[-1]) if near.size else float(_SILU_SEARCH[0])


def _share(graph: Editing, ranges: dict[str, Range], removed: Collection[str]) -> None:
    """From the last Concat to the first, so that one in another's input follows."""
    groups = _same_steps(graph)
    limits = _limits(graph, removed)
    for node in reversed(graph.graph.node):
        if node.op_type != "Concat" or node.output[0] not in ranges or node.output[0] in limits:
            continue
        members = [groups.get(name, name) for name in node.input]
        if not all(one in ranges for one in members):
            continue
        held = [ranges[one] for one in (node.output[0], *members)]
        low, high = min(one[0] for one in held), max(one[1] for one in held)
        for name, one in zip(node.input, members, strict=True):
            bounds = [limits[each] for each in (name, one) if each in limits]
            if any(low < least or high > most for least, most in bounds):
                continue
            if _may_widen(graph, name, one, ranges[one], high - low):
                ranges[one] = (low, high)
        ranges[node.output[0]] = (low, high)


def _limits(graph: Editing, removed: Collection[str]) -> dict[str, Range]:
    """How far the range of a tensor may reach that stands for a removed Relu or Clip too."""
    found: dict[str, Range] = {}
    for node in graph.graph.node:
        if node.name in removed:
            low, high = (0.0, None) if node.op_type == "Relu" else clip_bounds(graph, node)
            limits = (-np.inf if low is None else low, np.inf if high is None else high)
            found |= dict.fromkeys((node.input[0], node.output[0]), limits)
    return found


def _may_widen(graph: Editing, name: str, source: str, own: Range, width: float) -> bool:
    only = name == source and graph.only_user(name) is not None
    return only or width <= _WIDEST_STEP * (own[1] - own[0])


def _same_steps(graph: Editing) -> dict[str, str]:
    """For what only moves or picks numbers, the tensor whose steps it keeps."""
    source: dict[str, str] = {}
    for node in graph.graph.node:
        nearest = node.op_type == "Resize" and attribute(node, "mode") in (None, b"nearest")
        if node.op_type in (*_SAME_STEP, "Split") or nearest:
            for name in node.output:
                source[name] = source.get(node.input[0], node.input[0])
    return source
