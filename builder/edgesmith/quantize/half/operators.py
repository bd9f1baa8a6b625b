"""Which operators compute in FP16 on a GPU, and what they take and give in FP16 then."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# Those of which ONNX Runtime's CUDA provider has a float16 kernel (docs/OperatorKernels.md there).
# Others would fall back to the CPU, or have FP32 kernels only: Range, RoiAlign, GridSample,
# NonMaxSuppression.
_STANDARD = frozenset({
    "Abs", "Add", "ArgMax", "ArgMin", "Attention", "AveragePool", "BatchNormalization", "Cast",
    "Ceil", "Clip", "Compress", "Concat", "ConstantOfShape", "Conv", "ConvTranspose", "Cos",
    "CumSum", "DepthToSpace", "Div", "Dropout", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand",
    "Flatten", "Floor", "GRU", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM", "LayerNormalization",
    "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min",
    "Mod", "Mul", "Neg", "NonZero", "OneHot", "PRelu", "Pad", "Pow", "RMSNormalization", "RNN",
    "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape",
    "Resize", "ReverseSequence", "RotaryEmbedding", "Round", "ScatterElements", "ScatterND",
    "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Slice", "Softmax", "Softplus", "Softsign",
    "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Tile",
    "TopK", "Transpose", "Trilu", "Unsqueeze", "Where",
})  # fmt: skip
_CONTRIB = frozenset({
    "BiasGelu", "FastGelu", "FusedMatMul", "Gelu", "MultiHeadAttention", "QuickGelu",
    "SkipLayerNormalization", "SkipSimplifiedLayerNormalization",
})  # fmt: skip
# With FP16 these stay in FP32 whatever the data. Not so LayerNormalization, Softmax, ReduceMean,
# ReduceSum and products, though PyTorch's autocast keeps some of them in FP32, too: CUDA kernels
# of ONNX Runtime add up in float there (AccumulationType of half, HalfGemmOptions' default
# CUBLAS_COMPUTE_32F) and round the result only.
_SQUARES = "squares go beyond FP16 from 256 on, and vanish below 0.0002"
_SMALL = "small arguments vanish in FP16 and give infinities"
_SUMS = "ONNX Runtime adds up in FP16 there"
_ANGLE = "FP16 has no fraction left in a large argument"
SENSITIVE = {
    "Pow": _SQUARES,
    "ReduceL2": _SQUARES,
    # CUDA kernels write the squares, and the exponentials, to a buffer in FP16 before the sum.
    "ReduceSumSquare": _SQUARES,
    "LRN": _SQUARES,
    "ReduceLogSumExp": _SUMS,
    "ReduceLogSum": _SUMS,
    "ReduceL1": _SUMS,
    "ReduceProd": _SUMS,
    "CumSum": _SUMS,
    "Exp": "it doubles with each 0.7 of its argument: headroom over the data seen says little",
    "Log": _SMALL,
    "Sqrt": _SMALL,
    "Reciprocal": _SMALL,
    "Sin": _ANGLE,
    "Cos": _ANGLE,
    "Mod": _ANGLE,
}
# They hold most of the work: none is moved to FP32 to save conversions.
HEAVY = frozenset({
    "Attention", "Conv", "ConvTranspose", "Einsum", "FusedMatMul", "GRU", "Gemm", "LSTM", "MatMul",
    "MultiHeadAttention", "RNN",
})  # fmt: skip
# They hand numbers on as they are.
MOVING = frozenset({
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND",
    "Identity", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
    "Trilu", "Unsqueeze", "Where",
})  # fmt: skip
_ANY_STANDARD = ("", "ai.onnx")
_HALF = "tensor(float16)"
_SKIP_STATISTICS = (1, 2)
# They read a tensor of any type, and their results do not depend on it.
_INDIFFERENT = frozenset({"Cast", "Shape", "Size"})


def is_standard(node: onnx.NodeProto) -> bool:
    """Whether its operator is ONNX's own."""
    return node.domain in _ANY_STANDARD


def has_half(node: onnx.NodeProto) -> bool:
    """Whether a GPU computes it in FP16."""
    if is_standard(node):
        return node.op_type in _STANDARD
    return node.domain == "com.microsoft" and node.op_type in _CONTRIB


def is_indifferent(node: onnx.NodeProto) -> bool:
    """Whether it takes its float input in either precision."""
    return is_standard(node) and node.op_type in _INDIFFERENT


def takes_half(node: onnx.NodeProto, index: int, opset: int) -> bool:
    """Whether input `index` may be FP16."""
    # The roi of Resize is read on the CPU, its scales are float by definition.
    if is_standard(node) and node.op_type == "Resize":
        return index == 0
    return not is_standard(node) or _may(node.op_type, opset, index, output=False)


def gives_half(node: onnx.NodeProto, index: int, opset: int) -> bool:
    """Whether output `index` may be FP16: not the statistics of normalizations."""
    if not is_standard(node):
        return not (node.op_type.startswith("Skip") and index in _SKIP_STATISTICS)
    return _may(node.op_type, opset, index, output=True)


@cache
def _may(operator: str, opset: int, index: int, *, output: bool) -> bool:
    import onnx

    schema = onnx.defs.get_schema(operator, opset, "")
    formal = list(schema.outputs if output else schema.inputs)
    if not formal:
        return False
    # The last may stand for any number.
    return _HALF in formal[min(index, len(formal) - 1)].types
