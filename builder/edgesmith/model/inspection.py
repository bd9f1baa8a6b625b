"""What an ONNX file holds: interface, operators, parameters, and what of it is quantized."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edgesmith.model import onnx_file
from edgesmith.model.external_data import tensor_bytes
from edgesmith.model.value_types import ValueType, value_types
from edgesmith.values import RECORD, OnnxFile, PassRecord, SimplifiedModel, read_record

if TYPE_CHECKING:
    import onnx

_LAYOUT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
# Operators that compute with weights: those that gain from INT8.
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})
_INTEGER = frozenset({
    "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm", "QLinearAdd",
    "QLinearMul", "QLinearConcat", "QLinearSigmoid", "QLinearAveragePool",
    "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearSoftmax", "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
})  # fmt: skip
# Of a list in an attribute, so many entries are shown.
_SHOWN_ENTRIES = 8
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One stored tensor: a weight, bias, scale or constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator of the graph, in the order of execution.

    `types` says of each output what it is, such as `float32 [batch, 10]`, and is empty where
    shape inference does not know it. `attributes` are short texts.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    quantized: bool
    domain: str = ""
    types: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    subgraphs: tuple[Subgraph, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A graph in an attribute of a node, such as the body of a Loop."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """All of it; `weights_in_int8` counts operators with weights that run in integers.

    Parameters come with the largest first. `clean_up` is empty unless edgesmith made the file.
    """

    model: OnnxFile
    operators: dict[str, int]
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    weighted_operators: int
    weighted_in_int8: int
    in_float: tuple[str, ...]
    clean_up: tuple[PassRecord, ...]


def inspect_model(path: Path) -> Inspection:
    """Reads the file, but no weights in other files; raises ModelError for no valid model."""
    model = onnx_file.load(path, data=False)
    described = onnx_file.describe(model, path)
    nodes = _nodes(model.graph, value_types(model))
    weighted = [n for n in nodes if n.op_type in _WEIGHTED or n.op_type in _INTEGER]
    parameters = [_parameter(tensor) for tensor in model.graph.initializer]
    return Inspection(
        model=described,
        operators=dict(Counter(n.op_type for n in nodes).most_common()),
        parameters=tuple(sorted(parameters, key=lambda one: -one.bytes)),
        nodes=nodes,
        weighted_operators=len(weighted),
        weighted_in_int8=sum(1 for n in weighted if n.quantized),
        in_float=tuple(f"{n.name} ({n.op_type})" for n in weighted if not n.quantized),
        clean_up=_clean_up_of(path, described),
    )


def _clean_up_of(path: Path, described: OnnxFile) -> tuple[PassRecord, ...]:
    """The record of the simplify stage that made this very file: beside it, or in its project.

    A target's `quantize/fp32.onnx` is a copy of the simplified model.
    """
    folder = path.absolute().parent
    for place in (folder, folder.parent.parent / "simplify"):
        if not (place / RECORD).is_file():
            continue
        try:
            made = read_record(SimplifiedModel, place)
        except (ValidationError, json.JSONDecodeError, OSError):
            # Another stage's record, or another program's file of that name.
            continue
        if made.onnx.sha256 == described.sha256:
            return made.passes
    return ()


def _nodes(graph: onnx.GraphProto, types: dict[str, ValueType]) -> tuple[Node, ...]:
    dequantized = {o for n in graph.node if n.op_type == "DequantizeLinear" for o in n.output}
    return tuple(_node(node, dequantized, types) for node in graph.node)


def _node(node: onnx.NodeProto, dequantized: set[str], types: dict[str, ValueType]) -> Node:
    quantized = node.op_type in _INTEGER or (
        node.op_type not in _LAYOUT
        and bool(node.input)
        and all(name in dequantized for name in node.input[:2])
    )
    graphs = [
        (one.name, graph)
        for one in node.attribute
        for graph in (*([one.g] if one.HasField("g") else []), *one.graphs)
    ]
    return Node(
        name=node.name,
        op_type=node.op_type,
        domain=node.domain,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        quantized=quantized,
        types=tuple(_type_text(types.get(name)) for name in node.output),
        attributes=tuple(
            (one.name, _attribute_text(one))
            for one in node.attribute
            if not (one.HasField("g") or one.graphs)
        ),
        subgraphs=tuple(_subgraph(name, graph) for name, graph in graphs),
    )


def _subgraph(name: str, graph: onnx.GraphProto) -> Subgraph:
    return Subgraph(
        name=name,
        inputs=tuple(value.name for value in graph.input),
        outputs=tuple(value.name for value in graph.output),
        nodes=_nodes(graph, {}),
    )


def _type_text(value: ValueType | None) -> str:
    from onnx import TensorProto

    if value is None or value.element == TensorProto.UNDEFINED:
        return ""
    dims = "?" if value.dims is None else ", ".join(str(dim) or "?" for dim in value.dims)
    return f"{_type_name(value.element)} [{dims}]"


def _type_name(element: int) -> str:
    from onnx import TensorProto, helper

    if element in (TensorProto.STRING, TensorProto.UNDEFINED):
        return str(TensorProto.DataType.Name(element)).lower()
    return str(helper.tensor_dtype_to_np_dtype(element))


def _attribute_text(attribute: onnx.AttributeProto) -> str:
    from onnx import AttributeProto, helper

    if attribute.ref_attr_name:
        return f"@{attribute.ref_attr_name}"
    if attribute.type == AttributeProto.TENSOR:
        return f"{_type_name(attribute.t.data_type)} {list(attribute.t.dims)}"
    value: Any = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return _shortened(value.decode(errors="replace"))
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
        entries = [f"{entry:g}" for entry in value[:_SHOWN_ENTRIES]]
        more = len(value) - len(entries)
        return f"[{', '.join(entries)}{f', {more} more' if more else ''}]"
    return _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _parameter(tensor: onnx.TensorProto) -> Parameter:
    from onnx import TensorProto

    inside = tensor.data_type == TensorProto.STRING
    return Parameter(
        name=tensor.name,
        shape=tuple(tensor.dims),
        dtype=_type_name(tensor.data_type),
        bytes=tensor.ByteSize() if inside else tensor_bytes(tensor),
    )
