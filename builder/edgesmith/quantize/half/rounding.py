"""A model in FP32 that rounds to FP16 wherever the one in FP16 does.

ONNX Runtime has few FP16 kernels for CPUs: it computes a part of the graph in FP32, and a value
between two such operators is not rounded at all. A tensor of float16 holds 100000 there, and no
overflow of a GPU is seen. GPUs add up in FP32 and round results: as it is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgesmith.quantize.half.graph import FLOAT, HALF
from edgesmith.quantize.half.plan import Plan
from edgesmith.quantize.half.rewriting import Names
from edgesmith.simplify.graph import used_by

if TYPE_CHECKING:
    import onnx


def rounded(plan: Plan) -> onnx.ModelProto:
    """All tensors keep their names; those in FP16 hold what FP16 holds, as float32."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(plan.graph.model)
    del model.graph.node[:]
    names = Names(plan)
    halves: dict[str, str] = {}
    for node in plan.graph.model.graph.node:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for index, name in enumerate(node.input):
            if plan.wants_half(node, index) and not plan.is_half(name):
                if name not in halves:
                    halves[name] = names.fresh(f"{name}/half")
                    _round_input(model.graph, plan, name, halves[name], names)
                new.input[index] = halves[name]
        made = [(i, name) for i, name in enumerate(node.output) if plan.is_half(name)]
        for index, name in made:
            new.output[index] = names.fresh(f"{name}/exact")
        model.graph.node.append(new)
        for index, name in made:
            _round(model.graph, new.output[index], name, names)
    _drop_unread(model.graph, plan)
    return model


def _drop_unread(graph: onnx.GraphProto, plan: Plan) -> None:
    """Weights of which only the rounded ones are read."""
    read = {name for node in graph.node for name in used_by(node)} | plan.graph.outputs
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in read:
            del graph.initializer[index]


def _round_input(graph: onnx.GraphProto, plan: Plan, name: str, made: str, names: Names) -> None:
    from onnx import numpy_helper

    if name in plan.graph.weights:
        values = plan.graph.half_weight(name).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, made))
    else:
        _round(graph, name, made, names)


def _round(graph: onnx.GraphProto, source: str, made: str, names: Names) -> None:
    from onnx import helper

    bits = names.fresh(f"{made}/bits")
    graph.node.append(helper.make_node("Cast", [source], [bits], to=HALF))
    graph.node.append(helper.make_node("Cast", [bits], [made], to=FLOAT))
