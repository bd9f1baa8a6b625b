"""The float model in the form that onnxruntime.quantization gets right."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.quantize.placement import is_heavy
from edgesmith.quantize.rounding.pairs import is_depthwise
from edgesmith.quantize.weight_scales import channel_axis
from edgesmith.simplify.graph import Editing, attribute, subgraphs, used_by

if TYPE_CHECKING:
    import onnx

_PAD_AXES_INPUT = 3


def separate_weights(
    model: onnx.ModelProto, excluded: Collection[str] = (), *, each_gemm: bool = False
) -> bool:
    """Weights that are read in several ways are stored once for each.

    The quantizer gives weights the scales that one of their readers wants: others, such as an
    embedding that looks them up, a Gemm along the other axis, or what is `excluded`, can't read
    them then. With `each_gemm` no Gemm shares its weights: quantize_dynamic transposes in place.
    """
    graph = Editing(model)
    ranks = {one.name: len(one.dims) for one in model.graph.initializer}
    shapes = {one.name: tuple(one.dims) for one in model.graph.initializer}
    ways: dict[str, dict[Hashable, list[tuple[Any, int]]]] = {}
    for node in graph.graph.node:
        inner = {name for one in subgraphs(node) for name in _read(one)}
        for name in inner & ranks.keys():
            ways.setdefault(name, {}).setdefault("a body", [])
        for index, name in enumerate(node.input):
            if name in ranks and graph.is_constant(name):
                key = _way(node, index, ranks, shapes, excluded, each_gemm)
                ways.setdefault(name, {}).setdefault(key, []).append((node, index))
    changed = False
    for name, found in ways.items():
        if len(found) < 2 or not any(isinstance(key, tuple) for key in found):
            continue
        # Bodies keep the name.
        kept = "a body" if "a body" in found else next(iter(found))
        for key, readers in found.items():
            if key == kept:
                continue
            value = graph.constant(name)
            assert value is not None
            copy = graph.add_constant(value, name)
            for node, index in readers:
                graph.set_input(node, index, copy)
            changed = True
    return graph.close() and changed


def _read(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in used_by(node)}


def _way(
    node: Any,
    index: int,
    ranks: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    excluded: Collection[str],
    each_gemm: bool,
) -> Hashable:
    """What the scales depend on: equal for readers that can share weights."""
    is_weight = index == 1 and node.op_type in ("Conv", "Gemm", "MatMul")
    if not is_weight or node.name in excluded or not is_heavy(node, ranks):
        return "in float"
    own = node.name if each_gemm and node.op_type == "Gemm" else ""
    return (channel_axis(node), is_depthwise(node, shapes[node.input[1]]), own)


def plain_gemms(model: onnx.ModelProto) -> bool:
    """Gemms without factors, with a bias for each column: of others the bias would be wrong."""
    from onnx import helper

    graph = Editing(model)
    changed = False
    for node in graph.graph.node:
        weights = graph.constant(node.input[1]) if graph.is_standard(node, "Gemm") else None
        if weights is None or weights.ndim != 2:
            continue
        alpha, beta = (_factor(node, name) for name in ("alpha", "beta"))
        columns = weights.shape[channel_axis(node)]
        has_bias = len(node.input) > 2 and bool(node.input[2])
        bias = graph.constant(node.input[2]) if has_bias else None
        if has_bias and (bias is None or not _is_row(bias, columns)):
            continue
        if bias is not None and (beta != 1 or bias.shape != (columns,)):
            row = np.broadcast_to((bias * bias.dtype.type(beta)).reshape(-1), (columns,))
            graph.set_input(node, 2, graph.add_constant(np.ascontiguousarray(row), node.input[2]))
            changed = True
        if alpha != 1:
            scaled = weights * weights.dtype.type(alpha)
            graph.set_input(node, 1, graph.add_constant(scaled, node.input[1]))
            changed = True
        for one in list(node.attribute):
            if one.name in ("alpha", "beta") and one.f != 1:
                one.CopyFrom(helper.make_attribute(one.name, 1.0))
                changed = True
    if changed:
        graph.changed()
    return graph.close() and changed


def other_gemms(model: onnx.ModelProto) -> list[str]:
    """The names of those that plain_gemms() leaves: their bias is computed, or one for each row."""
    graph = Editing(model)
    found = []
    for node in graph.graph.node:
        if graph.is_standard(node, "Gemm") and len(node.input) > 2 and node.input[2]:
            bias = graph.constant(node.input[2])
            if bias is None or bias.ndim != 1 or _factor(node, "beta") != 1:
                found.append(node.name)
    return found


def _factor(node: Any, name: str) -> float:
    value = attribute(node, name)
    return 1.0 if value is None else float(value)


def _is_row(bias: Any, columns: int) -> bool:
    return bias.size in (1, columns) and (bias.ndim < 2 or bias.shape[0] == 1 or columns == 1)


def whole_pads(model: onnx.ModelProto) -> bool:
    """Pads for all axes instead of some: between integers ONNX Runtime overlooks which."""
    graph = Editing(model)
    types = graph.types()
    changed = False
    for node in graph.graph.node:
        if not graph.is_standard(node, "Pad") or len(node.input) <= _PAD_AXES_INPUT:
            continue
        found = types.get(node.input[0])
        pads, axes = (graph.constant(node.input[index]) for index in (1, _PAD_AXES_INPUT))
        if found is None or found.dims is None or pads is None or axes is None:
            continue
        rank = len(found.dims)
        whole = np.zeros((2, rank), np.int64)
        whole[:, [int(axis) % rank for axis in axes]] = pads.reshape(2, -1)
        graph.set_input(node, 1, graph.add_constant(whole.reshape(-1), node.input[1]))
        del node.input[_PAD_AXES_INPUT:]
        if not node.input[2]:
            del node.input[2:]
        changed = True
    return graph.close() and changed
