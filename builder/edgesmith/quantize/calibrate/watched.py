"""A model that tells, beside its outputs, what its tensors hold: computed where they are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.quantize.activations import removed_activations

if TYPE_CHECKING:
    import onnx

# Values of each tensor that are counted, of each inference.
SAMPLED = 4096
PHASE = "edgesmith/phase"
_FLOAT, _HALF = 1, 10


@dataclass(frozen=True, kw_only=True)
class WatchedModel:
    """`model` has three more outputs for each of `tensors` (told_by gives their names) and one more
    input, PHASE: int64 [1], at which value the samples begin.

    `same` gives for tensors that are not watched the one whose range is theirs.
    """

    model: onnx.ModelProto
    tensors: tuple[str, ...]
    same: Mapping[str, str]


def told_by(index: int) -> tuple[str, str, str]:
    """The outputs with the lowest value, the highest value and a sample of tensor `index`."""
    return (f"edgesmith/{index}/lowest", f"edgesmith/{index}/highest", f"edgesmith/{index}/sample")


def watch(
    prepared: onnx.ModelProto, operators: Collection[str], shapes: Mapping[str, Sequence[int]]
) -> WatchedModel:
    """Watches what `operators` take and give; `shapes` are those of the fed inputs.

    Before a Relu or Clip that alone takes a tensor nothing is watched where the quantizer may
    remove it: it gives the tensor its output's range.
    """
    import onnx

    types = _types(prepared)
    taken = float_tensors(prepared, operators)
    same = _before_clipping(prepared, taken)
    tensors = tuple(name for name in taken if name not in same)
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    sizes = _sizes(prepared, shapes)
    graph = model.graph
    graph.input.append(onnx.helper.make_tensor_value_info(PHASE, onnx.TensorProto.INT64, [1]))
    _constant(graph, "edgesmith/flat", [-1])
    _constant(graph, "edgesmith/end", [np.iinfo(np.int64).max])
    _constant(graph, "edgesmith/first", [0])
    for index, name in enumerate(tensors):
        _watch_one(graph, index, name, half=types[name] == _HALF, size=sizes.get(name))
    return WatchedModel(model=model, tensors=tensors, same=same)


def half_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """The names of the tensors of float16."""
    return frozenset(name for name, kind in _types(model).items() if kind == _HALF)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    graph = model.graph
    return {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.output, *graph.input)
        if value.type.HasField("tensor_type")
    }


def float_tensors(model: onnx.ModelProto, operators: Collection[str] | None = None) -> list[str]:
    """The float tensors, in the order of the graph, that the quantizer may ask for: those that
    `operators` take or give, or any."""
    types = _types(model)
    constants = {one.name for one in model.graph.initializer}
    found: dict[str, None] = {}
    for node in model.graph.node:
        if operators is None or node.op_type in operators:
            for name in (*node.input, *node.output):
                if name not in constants and types.get(name) in (_FLOAT, _HALF):
                    found[name] = None
    return list(found)


def _before_clipping(model: onnx.ModelProto, taken: Sequence[str]) -> dict[str, str]:
    consumers: dict[str, list[Any]] = defaultdict(list)
    for node in model.graph.node:
        for name in dict.fromkeys(node.input):
            consumers[name].append(node)
    outputs = {value.name for value in model.graph.output}
    same = {}
    removed = removed_activations(model)
    for name in taken:
        after = consumers[name]
        if len(after) == 1 and after[0].name in removed and name not in outputs:
            same[name] = after[0].output[0]
    return {name: _last(same, name) for name in same if _last(same, name) in taken}


def _last(same: Mapping[str, str], name: str) -> str:
    while name in same:
        name = same[name]
    return name


def _sizes(prepared: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """How many values tensors have with these inputs, where that can be told before."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    del model.graph.value_info[:]
    for value in model.graph.input:
        for dim, size in zip(
            value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False
        ):
            dim.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    sizes = {}
    for value in (*inferred.graph.value_info, *inferred.graph.input):
        dims = value.type.tensor_type.shape.dim
        known = all(dim.HasField("dim_value") for dim in dims)
        if known and value.type.tensor_type.HasField("shape"):
            sizes[value.name] = math.prod(dim.dim_value for dim in dims)
    return sizes


def _watch_one(graph: Any, index: int, name: str, *, half: bool, size: int | None) -> None:
    from onnx import TensorProto, helper

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    prefix = f"edgesmith/{index}"
    lowest, highest, sample = told_by(index)
    if half:
        name = add("Cast", [name], f"{prefix}/float", to=TensorProto.FLOAT)
    add("ReduceMin", [name], lowest, keepdims=0)
    add("ReduceMax", [name], highest, keepdims=0)
    flat = add("Reshape", [name, "edgesmith/flat"], f"{prefix}/flat")
    if size is None:
        # An odd number, so that it shares no factor with most widths.
        add("Size", [flat], f"{prefix}/size")
        _constant(graph, f"{prefix}/twice", [2 * SAMPLED])
        _constant(graph, f"{prefix}/one", [1])
        half_stride = add("Div", [f"{prefix}/size", f"{prefix}/twice"], f"{prefix}/half_stride")
        even = add("Add", [half_stride, half_stride], f"{prefix}/even")
        stride = add("Add", [even, f"{prefix}/one"], f"{prefix}/stride")
    else:
        stride = f"{prefix}/stride"
        _constant(graph, stride, [_prime_from(max(1, math.ceil(size / SAMPLED)))])
    start = add("Mod", [PHASE, stride], f"{prefix}/start")
    add("Slice", [flat, start, "edgesmith/end", "edgesmith/first", stride], sample)
    for output, shape in ((lowest, []), (highest, []), (sample, [None])):
        graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))


def _constant(graph: Any, name: str, values: list[int]) -> None:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))


def _prime_from(number: int) -> int:
    """The smallest prime of at least `number` (1 for 1): rows and channels have no such width."""
    while number > 1 and any(number % d == 0 for d in range(2, math.isqrt(number) + 1)):
        number += 1
    return number
