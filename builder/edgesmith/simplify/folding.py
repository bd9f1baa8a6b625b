"""Computes ahead what depends on constants alone, without making the file much larger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgesmith.model.value_types import ValueType
from edgesmith.simplify.graph import Editing, constant_tensor, subgraphs

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, Any]

# A result that is at most GROWTH times as large as what it is computed from is computed ahead,
# such as a weight that is transposed or widened from float16. Others, such as a row that is
# expanded to a table, may add so many bytes in all, the first ones before the later.
FREE_BYTES = 1 << 20
GROWTH = 2
# Draws differ at each run; quantized weights are stored small on purpose, and kernels match
# their pairs of nodes.
_NEVER = frozenset({
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
    "Bernoulli", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant",
})  # fmt: skip


def fold_constants(model: onnx.ModelProto) -> bool:
    """Nodes whose inputs all are constants become initializers, Constant nodes too."""
    graph = Editing(model)
    nodes = foldable(graph)
    if nodes:
        _replace_by_results(graph, nodes)
    _lift_constants(graph)
    return graph.close()


def foldable(graph: Editing) -> list[onnx.NodeProto]:
    """The nodes to compute ahead, in their order."""
    return _constant_nodes(graph)[0]


def has_too_large_constants(model: onnx.ModelProto) -> bool:
    """Whether there are nodes that would be computed ahead but for the size of their results."""
    return bool(_constant_nodes(Editing(model))[1])


def _constant_nodes(graph: Editing) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """(nodes to compute ahead, nodes whose results are too large for that)."""
    candidates = [n for n in graph.graph.node if n.op_type not in _NEVER and _is_plain(graph, n)]
    known = {n for n in graph.users if graph.is_constant(n)}
    if not any(_reads_only(node, known) for node in candidates):
        return [], []
    types = graph.types()
    found, large = [], []
    left = FREE_BYTES
    for node in candidates:
        if not _reads_only(node, known):
            continue
        cost = _cost_bytes(node, types)
        if cost is None or cost > left:
            large.append(node)
            continue
        left -= cost
        known.update(node.output)
        found.append(node)
    return found, large


def _is_plain(graph: Editing, node: onnx.NodeProto) -> bool:
    return graph.is_standard(node, node.op_type) and not any(True for _ in subgraphs(node))


def _reads_only(node: onnx.NodeProto, known: set[str]) -> bool:
    return all(name in known for name in node.input if name)


def _cost_bytes(node: onnx.NodeProto, types: dict[str, ValueType]) -> int | None:
    """What of the free bytes the results take; None when their size is not known."""
    made = [_bytes(types.get(name)) for name in node.output if name]
    read = [_bytes(types.get(name)) for name in node.input if name]
    if any(size is None for size in (*made, *read)):
        return None
    total = sum(size or 0 for size in made)
    return 0 if total <= GROWTH * sum(size or 0 for size in read) else total


def _bytes(value: ValueType | None) -> int | None:
    from onnx import TensorProto, helper

    if value is None or value.dims is None or value.element == TensorProto.STRING:
        return None
    if value.element == TensorProto.UNDEFINED:
        return None
    count = int(helper.tensor_dtype_to_np_dtype(value.element).itemsize)
    for dim in value.dims:
        if not isinstance(dim, int):
            return None
        count *= dim
    return count


def _replace_by_results(graph: Editing, nodes: list[onnx.NodeProto]) -> None:
    """Runs the nodes once in ONNX Runtime; what others read of them is stored."""
    chosen = {id(node) for node in nodes}
    made = {name for node in nodes for name in node.output if name}
    needed = sorted(
        name
        for name in made
        if name not in graph.outputs
        and any(id(user) not in chosen for user in graph.users.get(name, []))
    )
    for name, value in zip(needed, _computed(graph, nodes, needed), strict=True):
        graph.replace(name, graph.add_constant(value, name))
        graph.forget_type(name)


def _computed(graph: Editing, nodes: list[onnx.NodeProto], wanted: list[str]) -> list[Array]:
    import onnx
    import onnxruntime
    from onnx import helper

    if not wanted:
        return []
    made = {name for node in nodes for name in node.output}
    sources = {name for node in nodes for name in node.input if name and name not in made}
    constants = [t for t in graph.graph.initializer if t.name in sources]
    values = [graph.producer[n] for n in sorted(sources) if n in graph.producer]
    outputs = [onnx.ValueInfoProto(name=name) for name in wanted]
    inner = helper.make_graph([*values, *nodes], "constants", [], outputs, constants)
    alone = onnx.ModelProto(
        ir_version=graph.model.ir_version, opset_import=graph.model.opset_import, graph=inner
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        alone.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    computed: list[Array] = session.run(wanted, {})
    return computed


def _lift_constants(graph: Editing) -> None:
    """Constant nodes are initializers in another form."""
    for index in reversed(range(len(graph.graph.node))):
        node = graph.graph.node[index]
        if not graph.is_standard(node, "Constant") or node.output[0] in graph.outputs:
            continue
        tensor = constant_tensor(node)
        if tensor is None:
            continue
        graph.store(tensor, node.output[0])
        del graph.graph.node[index]
