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
# The mark by which onnxruntime.quantization knows that shape inference was done before it.
_PREPROCESSED = ("onnx.quant.pre_process", "onnxruntime.quant")


def prepare(source: Path, path: Path) -> None:
    """Infers shapes and marks the model as prepared; raises ModelError for a quantized one."""
    import onnx

    model = onnx_file.load(source)
    refuse_quantized(model)
    prepared = onnx.shape_inference.infer_shapes(model)
    entry = prepared.metadata_props.add()
    entry.key, entry.value = _PREPROCESSED
    onnx_file.save(prepared, path)


def refuse_quantized(model: onnx.ModelProto) -> None:
    """Raises ModelError for a model that holds quantized operators."""
    found = sorted({n.op_type for n in model.graph.node if n.op_type in _QUANTIZED_OPERATORS})
    if found:
        raise ModelError(
            f"the model is quantized already: it has {', '.join(found)}",
            where="model.source",
            hint='give the float model, or take this one as it is: [quantize] precision = "fp32"',
        )
