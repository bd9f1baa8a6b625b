"""What an ONNX file holds: interface, operators, parameters, and what of it is quantized."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.model import onnx_file
from edgesmith.values import OnnxFile

_LAYOUT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
# Operators that compute with weights: those that gain from INT8.
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})
_INTEGER = frozenset({
    "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm", "QLinearAdd",
    "QLinearMul", "QLinearConcat", "QLinearSigmoid", "QLinearAveragePool",
    "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearSoftmax", "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One stored tensor: a weight, bias, scale or constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator of the graph, in the order of execution."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    quantized: bool


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """All of it; `weights_in_int8` counts operators with weights that run in integers."""

    model: OnnxFile
    operators: dict[str, int]
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    weighted_operators: int
    weighted_in_int8: int
    in_float: tuple[str, ...]


def inspect_model(path: Path) -> Inspection:
    """Reads the file; raises ModelError when it is no valid ONNX model."""
    model = onnx_file.load(path)
    nodes = _nodes(model.graph)
    weighted = [n for n in nodes if n.op_type in _WEIGHTED or n.op_type in _INTEGER]
    return Inspection(
        model=onnx_file.describe(model, path),
        operators=dict(Counter(n.op_type for n in nodes).most_common()),
        parameters=tuple(_parameter(t) for t in model.graph.initializer),
        nodes=nodes,
        weighted_operators=len(weighted),
        weighted_in_int8=sum(1 for n in weighted if n.quantized),
        in_float=tuple(f"{n.name} ({n.op_type})" for n in weighted if not n.quantized),
    )


def _nodes(graph: Any) -> tuple[Node, ...]:
    dequantized = {o for n in graph.node if n.op_type == "DequantizeLinear" for o in n.output}
    return tuple(
        Node(
            name=node.name,
            op_type=node.op_type,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            quantized=node.op_type in _INTEGER
            or (
                node.op_type not in _LAYOUT
                and bool(node.input)
                and all(name in dequantized for name in node.input[:2])
            ),
        )
        for node in graph.node
    )


def _parameter(tensor: Any) -> Parameter:
    from onnx import TensorProto, helper

    shape = tuple(tensor.dims)
    count = 1
    for size in shape:
        count *= size
    name = TensorProto.DataType.Name(tensor.data_type).lower()
    if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return Parameter(name=tensor.name, shape=shape, dtype=name, bytes=tensor.ByteSize())
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return Parameter(
        name=tensor.name, shape=shape, dtype=str(dtype), bytes=count * int(dtype.itemsize)
    )
