"""A graph to be edited: who makes and uses a value, constants, and nodes that are taken out."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from edgesmith.model import onnx_file
from edgesmith.model.value_types import ValueType, value_types

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, Any]

_STANDARD = ("", "ai.onnx")
_IR_OF_PLAIN_INITIALIZERS = 4


class Editing:
    """The main graph of a model and its indexes; call `close` after the last change."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.graph = model, model.graph
        self.opset = onnx_file.opset_of(model)
        self.inputs = {value.name for value in self.graph.input}
        self.outputs = {value.name for value in self.graph.output}
        self.producer = {name: node for node in self.graph.node for name in node.output if name}
        # An initializer that is an input too is only a default.
        self._initializers = {
            t.name: t for t in self.graph.initializer if t.name not in self.inputs
        }
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in used_by(node):
                self.users.setdefault(name, []).append(node)
        self._changed = False
        self._types: dict[str, ValueType] | None = None

    def types(self) -> dict[str, ValueType]:
        """Types and shapes of values as they were before the first change; inferred once."""
        if self._types is None:
            self._types = value_types(self.model)
        return self._types

    def is_standard(self, node: onnx.NodeProto | None, *kinds: str) -> bool:
        """Whether this is one of these operators of ONNX's own."""
        return node is not None and node.domain in _STANDARD and node.op_type in kinds

    def is_constant(self, name: str) -> bool:
        return name in self._initializers or self.is_standard(self.producer.get(name), "Constant")

    def constant(self, name: str) -> Array | None:
        """The value of an initializer or a Constant node; None for anything else."""
        from onnx import numpy_helper

        if name in self._initializers:
            tensor = self._initializers[name]
            return numpy_helper.to_array(tensor) if not tensor.external_data else None
        node = self.producer.get(name)
        if node is None or not self.is_standard(node, "Constant"):
            return None
        tensor = constant_tensor(node)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def only_user(self, name: str) -> onnx.NodeProto | None:
        """The one node that uses the value, when nothing else does."""
        found = self.users.get(name, [])
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def bypass(self, node: onnx.NodeProto, index: int = 0) -> bool:
        """Uses the node's input `index` instead of its first output; whether that was possible.

        The node stays until `close`, which removes what nothing uses.
        """
        source, made = node.input[index], node.output[0]
        if made in self.outputs:
            return self._rename_source(node, source, made)
        self.replace(made, source)
        return True

    def _rename_source(self, node: onnx.NodeProto, source: str, made: str) -> bool:
        """An output keeps its name: what made the input makes the output."""
        maker = self.producer.get(source)
        if maker is None or source in self.outputs:
            return False
        node.output[0] = f"{made}/unused"
        position = list(maker.output).index(source)
        maker.output[position] = made
        self.producer[made] = maker
        del self.producer[source]
        self.replace(source, made)
        self.forget_type(source)
        return True

    def set_input(self, node: onnx.NodeProto, index: int, name: str) -> None:
        """Lets a node read another value."""
        before = node.input[index]
        node.input[index] = name
        if before not in used_by(node):
            self.users[before] = [one for one in self.users[before] if one is not node]
        self.users.setdefault(name, []).append(node)
        self._changed = True

    def replace(self, old: str, new: str) -> None:
        """Every use of `old`, in subgraphs too, becomes one of `new`."""
        for node in self.users.pop(old, []):
            rename_uses(node, old, new)
            self.users.setdefault(new, []).append(node)
        self._changed = True

    def insert_before(self, node: onnx.NodeProto, *new: onnx.NodeProto) -> None:
        """Puts nodes, in their order, where `node` stands."""
        position = list(self.graph.node).index(node)
        for offset, one in enumerate(new):
            self.graph.node.insert(position + offset, one)
        self._changed = True

    def add_constant(self, value: Array, like: str) -> str:
        """A new initializer, named after `like`."""
        from onnx import numpy_helper

        name = self.fresh(like)
        self.store(numpy_helper.from_array(value, name), name)
        return name

    def store(self, tensor: onnx.TensorProto, name: str) -> None:
        """A copy of the tensor becomes the initializer `name`."""
        stored = self.graph.initializer.add()
        stored.CopyFrom(tensor)
        stored.name = name
        self._initializers[name] = stored
        allow_initializers(self.model)
        self._changed = True

    def fresh(self, like: str) -> str:
        """A name that nothing has."""
        number = 1
        while (name := f"{like}/{number}") in self._taken():
            number += 1
        return name

    def _taken(self) -> set[str]:
        return {*self.producer, *self._initializers, *self.inputs, *self.users}

    def forget_type(self, name: str) -> None:
        """Drops the file's note on a value that is another one now."""
        for index, value in enumerate(self.graph.value_info):
            if value.name == name:
                del self.graph.value_info[index]
                return

    def changed(self) -> None:
        """Notes a change that was made by hand."""
        self._changed = True

    def close(self) -> bool:
        """Removes what is unused now; whether anything was changed."""
        return remove_dead(self.model) or self._changed


def constant_tensor(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """What a Constant node holds; None for text, sparse tensors and data in other files."""
    import numpy as np
    from onnx import numpy_helper

    one = node.attribute[0]
    if one.name == "value":
        return None if one.t.external_data else one.t
    types = {"value_float": np.float32, "value_floats": np.float32,
             "value_int": np.int64, "value_ints": np.int64}  # fmt: skip
    if one.name not in types:
        return None
    return numpy_helper.from_array(np.array(attribute(node, one.name), types[one.name]))


def allow_initializers(model: onnx.ModelProto) -> None:
    """Before IR version 4 each initializer had to be an input too."""
    model.ir_version = max(model.ir_version, _IR_OF_PLAIN_INITIALIZERS)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def used_by(node: onnx.NodeProto) -> set[str]:
    """What a node reads, in its subgraphs too."""
    names = {name for name in node.input if name}
    for graph in subgraphs(node):
        names |= {value.name for value in graph.output}
        for inner in graph.node:
            names |= used_by(inner)
    return names


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Puts each node behind those whose outputs it reads, in its subgraphs too."""
    nodes = list(graph.node)
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    reads = {
        index: sorted({maker[name] for name in used_by(node) if name in maker} - {index})
        for index, node in enumerate(nodes)
    }
    order = [nodes[index] for index in TopologicalSorter(reads).static_order()]
    del graph.node[:]
    graph.node.extend(order)


def rename_uses(node: onnx.NodeProto, old: str, new: str) -> None:
    """Renames what a node reads, in its subgraphs too."""
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new
    for graph in subgraphs(node):
        for value in graph.output:
            if value.name == old:
                value.name = new
        for inner in graph.node:
            rename_uses(inner, old, new)


def remove_dead(model: onnx.ModelProto) -> bool:
    """Removes nodes, weights, functions and types of values that no output needs."""
    removed = _remove_dead_nodes(model.graph)
    called = {(node.domain, node.op_type) for node in _all_nodes(model)}
    for index in reversed(range(len(model.functions))):
        one = model.functions[index]
        if (one.domain, one.name) not in called:
            del model.functions[index]
            removed = True
    return removed


def _all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    waiting = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for graph in subgraphs(node):
            waiting.extend(graph.node)


def _remove_dead_nodes(graph: onnx.GraphProto) -> bool:
    needed = {value.name for value in graph.output}
    removed = False
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if not any(name in needed for name in node.output):
            del graph.node[index]
            removed = True
            continue
        for inner in subgraphs(node):
            removed |= _remove_dead_nodes(inner)
        needed |= used_by(node)
    needed |= {value.name for value in graph.input}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in needed:
            del graph.initializer[index]
            removed = True
    known = {name for node in graph.node for name in node.output}
    for index in reversed(range(len(graph.value_info))):
        if graph.value_info[index].name not in known:
            del graph.value_info[index]
    return removed


def attribute(node: onnx.NodeProto, name: str) -> Any:
    """The value of an attribute, or None when the node has not got it."""
    from onnx import helper

    for one in node.attribute:
        if one.name == name:
            return helper.get_attribute_value(one)
    return None
