"""Dynamic INT8 quantization: ranges of activations are found anew in every inference."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.model import onnx_file
from edgesmith.quantize.calibrate.watched import half_tensors
from edgesmith.quantize.library import library_at_work, mend_order
from edgesmith.quantize.placement import is_heavy

if TYPE_CHECKING:
    import onnx

_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
# ONNX Runtime has dynamic kernels for these.
_QUANTIZED = ("MatMul", "Gemm", "LSTM")


def suits(model: onnx.ModelProto) -> bool:
    """Whether it is a transformer or a recurrent network: it multiplies with constant weights
    between operators that are in float anyway."""
    constants = {one.name for one in model.graph.initializer}
    weighted = attends = False
    for node in model.graph.node:
        if node.op_type == "MatMul":
            has_weights = any(name in constants for name in node.input)
            weighted |= has_weights
            attends |= not has_weights
        weighted |= node.op_type in ("Gemm", "LSTM")
    kinds = {node.op_type for node in model.graph.node}
    return weighted and (attends or bool(kinds & {*_RECURRENT, "LayerNormalization"}))


def quantize_dynamic(
    source: Path, excluded: Collection[str], output: Path, *, events: EventStream
) -> None:
    """Writes the model with products by INT8 weights and activations quantized as they come;
    `source` is what tailored_to_dynamic() gives.

    Weights are per channel and within 7 bits: the integer kernels of all CPUs are exact with them.
    Nodes whose names are `excluded` stay in float. Raises ModelError for a model without such
    products, or in float16.
    """
    from onnxruntime import quantization

    model = onnx_file.load(source)
    ranks = {one.name: len(one.dims) for one in model.graph.initializer}
    others = [n.name for n in model.graph.node if n.op_type == "MatMul" and not is_heavy(n, ranks)]
    if half_tensors(model):
        raise ModelError(
            "the model has float16 tensors, which are not quantized dynamically",
            where="quantize.dynamic",
            hint='set dynamic = "never", or compute in float32',
        )
    with library_at_work("dynamic", events):
        quantization.quantize_dynamic(
            source,
            output,
            op_types_to_quantize=list(_QUANTIZED),
            per_channel=True,
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=sorted({*excluded, *others}),
        )
    mend_order(output)
    quantized = onnx_file.load(output, shown_as="the quantized model")
    if not any(one.data_type == one.INT8 for one in quantized.graph.initializer):
        raise ModelError(
            "there is nothing to quantize dynamically: no product with constant weights",
            where="quantize.dynamic",
            hint='set dynamic = "never" (convolutions are better quantized statically)',
        )
    onnx_file.strip_traces(quantized)
    onnx_file.save(quantized, output)
