"""Small models for FP16, and what the conversion makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgesmith.events import EventStream
from edgesmith.model import onnx_file
from edgesmith.quantize.calibrate.observation import observe
from edgesmith.quantize.half.convert import convert_to_half
from edgesmith.quantize.half.plan import Plan
from edgesmith.quantize.half.reading import read_graph
from edgesmith.quantize.half.result import HalfModel
from int8_files import Array, drawn, files_of, model_of

node = helper.make_node
ROWS = drawn(8, 3, 16, seed=3)
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LOWEST = np.float32(np.finfo(np.float32).min)


def half_of(
    folder: Path, model: onnx.ModelProto, samples: Mapping[str, Array], *exclude: str
) -> HalfModel:
    """The converted model, whose file is valid and keeps inputs and outputs."""
    stored = files_of(folder, model, samples)
    found = observe(folder / "prepared.onnx", stored, events=EventStream())
    made = convert_to_half(
        folder / "prepared.onnx", folder / "half.onnx", found=found, samples=stored,
        exclude=frozenset(exclude), rounded_path=folder / "rounded.onnx", events=EventStream(),
    )  # fmt: skip
    written = onnx.load(made.path)
    onnx.checker.check_model(written, full_check=True)
    for before, after in ((model.graph.input, written.graph.input),
                          (model.graph.output, written.graph.output)):  # fmt: skip
        kinds = [(one.name, one.type.tensor_type.elem_type) for one in before]
        assert kinds == [(one.name, one.type.tensor_type.elem_type) for one in after]
    return made


def of_rows(nodes: list[onnx.NodeProto], weights: dict[str, Array], **more: Any) -> Any:
    outputs = more.pop("outputs", {"y": ["b", 16]})
    return model_of(nodes, weights, inputs={"x": (FLOAT, ["b", 16])}, outputs=outputs, **more)


def reasons(made: HalfModel) -> dict[str, str]:
    return {one.node: one.reason for one in made.kept}


def least_db(made: HalfModel) -> float:
    return min(one.sqnr_db for one in made.outputs if one.sqnr_db is not None)


def kinds(path: Path) -> Counter[str]:
    return Counter(one.op_type for one in onnx.load(path).graph.node)


def everything(folder: Path) -> Plan:
    """The plain conversion, of every node."""
    graph = read_graph(onnx_file.load(folder / "prepared.onnx"))
    return Plan(graph=graph, half=frozenset(graph.nodes))


def matmul(name: str, source: str, weight: str = "w") -> onnx.NodeProto:
    return node("MatMul", [source, weight], [name], name=name)


def overflowing() -> onnx.ModelProto:
    """A large sum that is divided again."""
    weights = {"k": np.array(1000, np.float32), "w": drawn(8, 8, 3, 3) * 30,
               "d": np.array(30000, np.float32), "w2": drawn(8, 8, 3, 3, seed=1) / 8}  # fmt: skip
    nodes = [
        node("Mul", ["x", "k"], ["a"], name="up"),
        node("Conv", ["a", "w"], ["c"], name="large", pads=[1, 1, 1, 1]),
        node("Transpose", ["c"], ["t"], name="turn", perm=[0, 1, 3, 2]),
        node("Div", ["t", "d"], ["e"], name="down"),
        node("Conv", ["e", "w2"], ["y"], name="small", pads=[1, 1, 1, 1]),
    ]
    shape = ["b", 8, 12, 12]
    return model_of(nodes, weights, inputs={"x": (FLOAT, shape)}, outputs={"y": shape})
