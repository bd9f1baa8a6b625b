"""The model that calibration runs and quantization starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgesmith.errors import ModelError
from edgesmith.model import onnx_file

if TYPE_CHECKING:
    import onnx

_QUANTIZED_OPERATORS = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul",
    "ConvInteger", "MatMulInteger",
})  # fmt: skip
_LEAST_OPSET = 13
# The mark by which onnxruntime.quantization knows that shape inference was done before it.
_PREPROCESSED = ("onnx.quant.pre_process", "onnxruntime.quant")


def prepare(source: Path, path: Path) -> None:
    """Infers shapes, names all nodes, and marks the model as prepared; raises ModelError for one
    that is quantized or of an opset without INT8."""
    import onnx

    model = onnx_file.load(source)
    refuse_quantized(model)
    _require_opset(model)
    _name_nodes(model)
    prepared = onnx.shape_inference.infer_shapes(model)
    entry = prepared.metadata_props.add()
    entry.key, entry.value = _PREPROCESSED
    onnx_file.save(prepared, path)


def _require_opset(model: onnx.ModelProto) -> None:
    found = onnx_file.opset_of(model)
    if found < _LEAST_OPSET:
        raise ModelError(
            f"the model has opset {found}, which has no INT8 per channel",
            where="model.opset",
            hint=f"set [model] opset = {_LEAST_OPSET}: the model is brought to it and checked",
        )


def _name_nodes(model: onnx.ModelProto) -> None:
    """What is excluded, rounded or told of goes by names."""
    taken = {node.name for node in model.graph.node}
    for index, node in enumerate(model.graph.node):
        name, number = node.name or f"{node.op_type}_{index}", 0
        while not node.name and name in taken:
            number += 1
            name = f"{node.op_type}_{index}_{number}"
        node.name = name
        taken.add(name)


def refuse_quantized(model: onnx.ModelProto) -> None:
    """Raises ModelError for a model that holds quantized operators."""
    found = sorted({n.op_type for n in model.graph.node if n.op_type in _QUANTIZED_OPERATORS})
    if found:
        raise ModelError(
            f"the model is quantized already: it has {', '.join(found)}",
            where="model.source",
            hint='give the float model, or take this one as it is: [quantize] precision = "fp32"',
        )
