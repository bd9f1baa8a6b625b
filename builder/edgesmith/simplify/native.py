"""Passes of onnxsim, some of its own at a time: native code, which runs in the worker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from edgesmith.simplify.folding import has_too_large_constants
from edgesmith.simplify.graph import allow_initializers

if TYPE_CHECKING:
    import onnx

NO_OPS = (
    "eliminate_identity", "eliminate_nop_cast", "eliminate_nop_concat", "eliminate_nop_dropout",
    "eliminate_nop_expand", "eliminate_nop_flatten", "eliminate_nop_monotone_argmax",
    "eliminate_nop_pad", "eliminate_nop_reshape", "eliminate_nop_split",
    "eliminate_nop_transpose", "eliminate_nop_with_unit", "eliminate_consecutive_idempotent_ops",
)  # fmt: skip
SHAPES = (
    "eliminate_shape_gather", "eliminate_shape_op", "eliminate_slice_after_shape",
    "fuse_concat_into_reshape",
)  # fmt: skip
CONSECUTIVE = (
    "fuse_consecutive_concats", "fuse_consecutive_reduce_unsqueeze", "fuse_consecutive_slices",
    "fuse_consecutive_squeeze_unsqueeze", "fuse_consecutive_squeezes",
    "fuse_consecutive_unsqueezes",
)  # fmt: skip
CONVOLUTIONS = (
    "fuse_bn_into_conv", "fuse_add_bias_into_conv", "fuse_pad_into_conv", "fuse_pad_into_pool",
)  # fmt: skip
# What the others leave behind; without these some never come to an end.
_LEFTOVERS = (
    "eliminate_deadend", "eliminate_unused_initializer", "extract_constant_to_initializer",
)  # fmt: skip
# Runs unless it is skipped, and is in no list: MatMul and Add become Gemm between Reshapes.
_UNLISTED = "fuse_matmul_add_bias_into_gemm_batched"
# Operators that onnxsim may compute ahead only up to this size; others are left to `folding`.
_TENSOR_SIZE = "1MB"


def _onnxsim() -> Any:
    """onnxsim, without PyTorch: it would load it for a bridge that nothing here uses."""
    loaded = "torch" in sys.modules
    if not loaded:
        # An import of what is None fails as that of a package that is not there: the language's
        # own way, which the type of sys.modules leaves out.
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import onnxsim
    finally:
        if not loaded:
            del sys.modules["torch"]
    return onnxsim


def run_optimizers(model: onnx.ModelProto, names: tuple[str, ...]) -> onnx.ModelProto:
    """The model after these passes of onnxsim alone, without folding of constants."""
    onnxsim = _onnxsim()
    from onnxsim import onnxsim_cpp2py_export

    allow_initializers(model)
    every = [*onnxsim_cpp2py_export._list_optimizers(), _UNLISTED]
    found: onnx.ModelProto
    found, _ = onnxsim.simplify(
        model,
        skipped_optimizers=[name for name in every if name not in (*names, *_LEFTOVERS)],
        skip_constant_folding=True,
        initializers_as_constants=True,
    )
    return found


def run_onnxsim(model: onnx.ModelProto) -> onnx.ModelProto:
    """All of onnxsim; it folds constants unless some were left because of their size.

    Where several dimensions are dynamic, its Gemm for MatMul and Add computes shapes at run time:
    4 to 6 % slower in a small transformer. Where more shapes or more nodes are left than before, it
    is not made.
    """
    allow_initializers(model)
    found = _simplified(model, skipped=())
    if _shapes_read(found) > _shapes_read(model) or len(found.graph.node) > len(model.graph.node):
        found = _simplified(model, skipped=(_UNLISTED,))
    return found


def _shapes_read(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Shape" for node in model.graph.node)


def _simplified(model: onnx.ModelProto, *, skipped: tuple[str, ...]) -> onnx.ModelProto:
    found: onnx.ModelProto
    found, _ = _onnxsim().simplify(
        model,
        skipped_optimizers=list(skipped) or None,
        skip_constant_folding=has_too_large_constants(model),
        tensor_size_threshold=_TENSOR_SIZE,
    )
    return found
