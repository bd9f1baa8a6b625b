"""Constants that stand for minus infinity before a Softmax, or for "no bound" in a Clip.

The lowest float is no FP16, and would keep all attention in FP32. Where such a constant has no
other use its size does not matter, and it becomes one that FP16 holds. Only of a row that is masked
as a whole the Softmax may differ: FP32 loses the scores below the lowest float, and gives all the
same share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.quantize.half.graph import FLOAT, FloatGraph
from edgesmith.quantize.half.limits import LARGEST_SEEN, MASK
from edgesmith.quantize.half.magnitudes import Magnitudes
from edgesmith.quantize.half.mask_search import MaskSearch
from edgesmith.quantize.half.operators import is_standard
from edgesmith.simplify.graph import Editing

if TYPE_CHECKING:
    import onnx

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Masks:
    """The graph with constants brought into FP16's range, and the `tensors` whose large values come
    from them alone."""

    graph: FloatGraph
    tensors: frozenset[str]


def tame_masks(graph: FloatGraph, seen: Magnitudes) -> Masks:
    """Finds them and brings them into FP16's range; all else stays as it is."""
    graph = _with_own_bounds(graph)
    ends = zip(seen.tensors, seen.lowest, seen.highest, strict=True)
    search = MaskSearch(graph=graph, ranges={name: (low, high) for name, low, high in ends})
    tensors: set[str] = set()
    large = [
        (one.name, one)
        for one in graph.model.graph.initializer
        if one.name in graph.weights and _is_large(graph.weight(one.name))
    ]
    filled = [(one.output[0], value) for one in graph.model.graph.node if (value := _filling(one))]
    for name, tensor in (*large, *filled):
        reached = search.reached(name) if name not in graph.bounds else None
        if reached is not None:
            tensors |= reached
            _clamp(tensor)
    tamed = FloatGraph(model=graph.model, types=graph.types, bounds=graph.bounds)
    return Masks(graph=tamed, tensors=frozenset(tensors))


def _with_own_bounds(graph: FloatGraph) -> FloatGraph:
    """A copy of the graph in which the large bounds of Clips are nothing else."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    editing = Editing(model)
    bounds: dict[str, str] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in graph.weights and _is_bound(node, index) and _is_large(graph.weight(name)):
                if name not in bounds:
                    bounds[name] = editing.add_constant(graph.weight(name), f"{name}/bound")
                editing.set_input(node, index, bounds[name])
    types = {**graph.types, **dict.fromkeys(bounds.values(), FLOAT)}
    return FloatGraph(model=model, types=types, bounds=frozenset(bounds.values()))


def _is_bound(node: onnx.NodeProto, index: int) -> bool:
    return is_standard(node) and node.op_type == "Clip" and index > 0


def _filling(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The large value that a ConstantOfShape repeats."""
    from onnx import numpy_helper

    if node.op_type != "ConstantOfShape" or not is_standard(node):
        return None
    for one in node.attribute:
        is_float = one.name == "value" and one.t.data_type == FLOAT
        if is_float and _is_large(numpy_helper.to_array(one.t)):
            tensor: onnx.TensorProto = one.t
            return tensor
    return None


def _is_large(values: Array) -> bool:
    finite = np.abs(values[np.isfinite(values)])
    return bool(finite.size and finite.max() > LARGEST_SEEN)


def _clamp(tensor: onnx.TensorProto) -> None:
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    bounded = np.where(np.isfinite(values), np.clip(values, -MASK, MASK), values)
    tensor.CopyFrom(numpy_helper.from_array(bounded.astype(np.float32), tensor.name))
