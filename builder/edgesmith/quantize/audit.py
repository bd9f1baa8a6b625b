"""What a variant becomes when ONNX Runtime has fused it: the operators that really run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.errors import ModelError
from edgesmith.quantize.placement import HEAVY
from edgesmith.stages import scratch_folder
from edgesmith.values import SessionOptions

if TYPE_CHECKING:
    import onnx

# ONNX Runtime writes the fused graph whole: its weights go into a file that nobody reads.
_WEIGHTS_APART = {
    "session.optimized_model_external_initializers_file_name": "weights",
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
}
# Signed activations, of files for ARM, are fused on x86 only when it is told to leave them so.
_AS_ON_ARM = {"session.qdqisint8allowed": "1"}
_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_LAYOUTS = frozenset({"Transpose", "ReorderInput", "ReorderOutput"})
_FLOATS = frozenset({1, 10, 11, 16})
# Why an operator stays in float that meets values as of attention masks.
MASKS = "it takes or gives masks, or other numbers that 8 bits can't hold"
_BYTES = frozenset({2, 3})
# These only move numbers: in float they cost no more than the conversion that they would save.
_MOVING = frozenset({
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Split", "Concat",
    "Pad", "Resize", "Identity", "Cast", "Expand", "Where",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FloatOperator:
    """An operator of the model that computes in float at run time, and why.

    `is_meant`: you or the model's values asked for it.
    """

    node: str
    operator: str
    reason: str
    is_meant: bool


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The fused graph in numbers of operators: `operators` by type, and by what they compute with.

    `layouts` are those that change the order of numbers in memory.
    """

    operators: Mapping[str, int]
    integer: int
    floating: int
    conversions: int
    layouts: int
    in_float: tuple[FloatOperator, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What quantization was asked for: the model before it, and what of that stays in float: the
    nodes that the user excludes, and the others with the reason."""

    prepared: onnx.ModelProto
    quantizable: Collection[str]
    excluded: Collection[str]
    kept: Mapping[str, str]


def fused_operators(model: Path, options: SessionOptions, *, scratch: Path) -> dict[str, int]:
    """Operator counts of the graph that this host's ONNX Runtime runs; see fused_graph()."""
    return _counted(fused_graph(model, options, scratch=scratch).graph)


def _counted(graph: Any) -> dict[str, int]:
    return dict(sorted(Counter(node.op_type for node in graph.node).items()))


def fused_graph(
    model: Path, options: SessionOptions, *, scratch: Path, signed: bool = False
) -> onnx.ModelProto:
    """The graph that this host's ONNX Runtime runs, without its larger weights.

    The extended level is used, which leaves out layouts that differ from CPU to CPU. `signed`: as
    on ARM, where activations are INT8. `scratch` is a folder for as many bytes as the model has,
    for a moment.
    """
    import onnx
    import onnxruntime

    native = onnxruntime.SessionOptions()
    native.log_severity_level = 4
    native.intra_op_num_threads = 1
    native.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    config = {**options.config, **_WEIGHTS_APART, **(_AS_ON_ARM if signed else {})}
    for key, value in config.items():
        native.add_session_config_entry(key, value)
    with scratch_folder(scratch) as folder:
        path = Path(folder) / "fused.onnx"
        native.optimized_model_filepath = str(path)
        _open(model, native)
        return onnx.load(path, load_external_data=False)


def _open(model: Path, native: Any) -> None:
    import onnxruntime

    try:
        onnxruntime.InferenceSession(str(model), native, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's errors have no class of their own.
        raise ModelError(
            f"ONNX Runtime can't load {model.name} as the target would: {error}",
            where="quantize",
            hint="exclude the operator named above by [quantize] exclude",
        ) from error


def audit(fused: onnx.ModelProto, asked: Asked | None = None) -> Audit:
    """Counts a fused graph; of a quantized one it also names what is left in float, and why."""
    types = _types(fused)
    kinds = Counter(_kind(node, types) for node in fused.graph.node)
    return Audit(
        operators=_counted(fused.graph),
        integer=kinds["integer"],
        floating=kinds["float"],
        conversions=kinds["conversion"],
        layouts=kinds["layout"],
        in_float=() if asked is None else _left_in_float(fused, types, asked),
    )


def _types(model: onnx.ModelProto) -> dict[str, int]:
    graph = model.graph
    types = {one.name: one.data_type for one in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def _kind(node: Any, types: Mapping[str, int]) -> str:
    """integer, float, conversion, layout, or other: computing shapes, say."""
    if node.op_type in _CONVERSIONS:
        return "conversion"
    if node.op_type in _LAYOUTS:
        return "layout"
    if any(types.get(name) in _BYTES for name in node.input):
        return "integer"
    return "float" if any(types.get(name) in _FLOATS for name in node.output) else "other"


def _left_in_float(
    fused: onnx.ModelProto, types: Mapping[str, int], asked: Asked
) -> tuple[FloatOperator, ...]:
    computing = [node for node in fused.graph.node if _kind(node, types) == "float"]
    names = {node.name for node in computing}
    # What is fused or taken apart keeps the name of its output alone.
    given = {name for node in computing for name in node.output}
    constants = {one.name for one in asked.prepared.graph.initializer}
    before = _types(asked.prepared)
    found = []
    for node in asked.prepared.graph.node:
        is_float = any(before.get(name) in _FLOATS for name in node.output)
        if node.op_type in _MOVING or not is_float:
            continue
        reason, is_meant = _reason(node, constants, asked)
        is_there = node.name in names or bool(given & set(node.output))
        if is_there or not _can_be_integer(node, asked):
            found.append(
                FloatOperator(
                    node=node.name, operator=node.op_type, reason=reason, is_meant=is_meant
                )
            )
    return tuple(found)


def _can_be_integer(node: Any, asked: Asked) -> bool:
    quantizable = node.op_type in asked.quantizable
    return quantizable and node.name not in asked.kept and node.name not in asked.excluded


def _reason(node: Any, constants: Collection[str], asked: Asked) -> tuple[str, bool]:
    if node.name in asked.excluded:
        return "[quantize] exclude names it", True
    if node.name in asked.kept:
        reason = asked.kept[node.name]
        return reason, not (reason == MASKS and node.op_type in HEAVY)
    if node.op_type not in asked.quantizable:
        return f"ONNX Runtime has no integer form of {node.op_type}", False
    weighted = node.op_type in ("Conv", "ConvTranspose", "Gemm")
    if weighted and len(node.input) > 1 and node.input[1] not in constants:
        return "its weights are computed, not constant", False
    return "no integer kernel of ONNX Runtime fits it where it stands", False
