"""The passes of the clean-up, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgesmith.simplify.dead_code import remove_dead_code
from edgesmith.simplify.folding import fold_constants
from edgesmith.simplify.graph import Editing
from edgesmith.simplify.native import (
    CONSECUTIVE,
    CONVOLUTIONS,
    NO_OPS,
    SHAPES,
    run_onnxsim,
    run_optimizers,
)
from edgesmith.simplify.no_ops import remove_no_ops
from edgesmith.simplify.pairs import fix_reshape_targets, fuse_casts, fuse_reshapes
from edgesmith.simplify.sharing import share_initializers
from edgesmith.simplify.standard_forms import (
    add_and_multiply,
    fold_hard_sigmoid,
    name_hard_swish,
    pool_means,
)
from edgesmith.simplify.transposes import cancel_transposes

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One step: `run` returns the changed model, or None when there is nothing to do.

    It may change the model that it is given in place.
    """

    name: str
    run: Callable[[onnx.ModelProto], onnx.ModelProto | None]


def _in_place(*edits: Callable[[onnx.ModelProto], bool]) -> Callable[..., onnx.ModelProto | None]:
    def run(model: onnx.ModelProto) -> onnx.ModelProto | None:
        changes = [edit(model) for edit in edits]
        return model if any(changes) else None

    return run


def _has(model: onnx.ModelProto, kinds: frozenset[str]) -> bool:
    """Serializing a large model for native code takes longer than looking first."""
    return any(node.op_type in kinds for node in model.graph.node)


_NO_OPS = frozenset({
    "Identity", "Cast", "Concat", "Dropout", "Expand", "Flatten", "ArgMax", "Pad", "Reshape",
    "Split", "Transpose",
})  # fmt: skip
# These do nothing with a certain constant, or twice.
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "And", "Or"})
_IDEMPOTENT = frozenset({"Ceil", "Floor", "Round", "Relu"})
_CHAINED = ("Concat", "Slice", "Squeeze", "Unsqueeze")
_AFTER_CONVOLUTIONS = frozenset({"BatchNormalization", "Add", "Mul", "Sub", "Div"})


def _remove_no_ops(model: onnx.ModelProto) -> onnx.ModelProto | None:
    changed = remove_no_ops(model)
    if _has_no_op(model):
        return run_optimizers(model, NO_OPS)
    return model if changed else None


def _has_no_op(model: onnx.ModelProto) -> bool:
    graph = Editing(model)
    return any(
        node.op_type in _NO_OPS
        or (node.op_type in _ARITHMETIC and any(map(graph.is_constant, node.input)))
        or (
            node.op_type in _IDEMPOTENT
            and graph.is_standard(graph.producer.get(node.input[0]), node.op_type)
        )
        for node in model.graph.node
    )


def _simplify_shapes(model: onnx.ModelProto) -> onnx.ModelProto | None:
    changed = fix_reshape_targets(model)
    if _has(model, frozenset({"Shape"})):
        return run_optimizers(model, SHAPES)
    return model if changed else None


def _fuse_consecutive(model: onnx.ModelProto) -> onnx.ModelProto | None:
    changed = [fuse_casts(model), fuse_reshapes(model)]
    if _has_neighbours(model):
        return run_optimizers(model, CONSECUTIVE)
    return model if any(changed) else None


def _has_neighbours(model: onnx.ModelProto) -> bool:
    graph = Editing(model)
    return any(
        graph.is_standard(graph.producer.get(name), *_CHAINED, "ReduceMean", "ReduceSum")
        for node in model.graph.node
        if node.op_type in _CHAINED
        for name in node.input
    )


def _fold_into_convolutions(model: onnx.ModelProto) -> onnx.ModelProto | None:
    graph = Editing(model)
    kinds = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")
    for node in model.graph.node:
        after = node.op_type in _AFTER_CONVOLUTIONS and any(
            graph.is_standard(graph.producer.get(name), *kinds)
            and len(node.input) > 1
            and any(graph.is_constant(other) for other in node.input)
            for name in node.input
        )
        if after or (node.op_type == "Pad" and _has(model, frozenset(kinds))):
            return run_optimizers(model, CONVOLUTIONS)
    return None


PASSES = (
    Pass(name="dead-code", run=_in_place(remove_dead_code)),
    Pass(name="no-ops", run=_remove_no_ops),
    Pass(name="constant-folding", run=_in_place(fold_constants)),
    Pass(name="shapes", run=_simplify_shapes),
    Pass(name="consecutive", run=_fuse_consecutive),
    Pass(name="transposes", run=_in_place(cancel_transposes)),
    Pass(name="convolutions", run=_fold_into_convolutions),
    Pass(name="hard-swish", run=_in_place(name_hard_swish)),
    Pass(name="hard-sigmoid", run=_in_place(fold_hard_sigmoid)),
    Pass(name="image-means", run=_in_place(pool_means)),
    Pass(name="constant-operands", run=_in_place(add_and_multiply)),
    Pass(name="onnxsim", run=run_onnxsim),
    Pass(name="shared-initializers", run=_in_place(share_initializers)),
)
