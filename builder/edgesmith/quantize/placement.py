"""Which operators compute in integers, so that conversions do not cost more than they save."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgesmith.simplify.graph import used_by

if TYPE_CHECKING:
    import onnx

# These are worth two conversions.
HEAVY = ("Conv", "Gemm", "MatMul")
# They can give floats from integers without a QuantizeLinear.
_GIVES_FLOATS = ("Gemm", "MatMul")
# Nanoseconds for each number of an output, one thread of a CPU with AVX-512 and ONNX Runtime
# 1.31.1, of vectors of 200,000; only their proportions matter. (float, integers).
_NS = {
    "Add": (0.09, 0.10), "Mul": (0.09, 0.19), "Sigmoid": (0.24, 0.25), "LeakyRelu": (0.09, 0.25),
    "HardSwish": (0.23, 0.25), "HardSigmoid": (0.10, 0.06), "Softmax": (0.5, 0.6),
    "Relu": (0.07, 0.0), "Clip": (0.07, 0.0),
    "MaxPool": (0.3, 0.05), "AveragePool": (0.3, 0.05), "GlobalAveragePool": (0.3, 0.05),
    "Resize": (0.3, 0.1),
}  # fmt: skip
_MOVING_NS = (0.07, 0.03)
_QUANTIZE_NS, _DEQUANTIZE_NS = 0.06, 0.09
# Of equal costs the one with less rounding.
_ROUNDING_NS = 0.02
_ROUNDS = 8
_MATRIX = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tensor:
    """Who makes and takes it, by index of node (no maker: an input), and its numbers."""

    maker: int | None
    users: tuple[int, ...]
    is_output: bool
    size: int


def float_by_choice(
    model: onnx.ModelProto, quantizable: Collection[str], floats: Collection[str]
) -> frozenset[str]:
    """The names of nodes that could compute in integers but are faster in float where they stand.

    `floats` are the names of those that stay in float anyway. Convolutions and products with
    constant weights are in integers, other products in float (kernels for two unsigned factors take
    twice the time); the others follow what costs least together with the
    conversions, by local search from both ends.
    """
    search = _Search(model, quantizable, frozenset(floats))
    best = min((search.improved(start) for start in (True, False)), key=search.cost)
    chosen = [index for index in search.free if not best[index]]
    return frozenset(search.nodes[index].name for index in [*chosen, *search.products])


def float_around(
    model: onnx.ModelProto, quantizable: Collection[str], floats: Collection[str]
) -> frozenset[str]:
    """The names of nodes that could compute in integers and that an engine which fuses is given in
    float: all but what multiplies by constant weights, and the sums of two branches, whose second
    summand such an engine adds inside the convolution that makes the first."""
    ranks = {one.name: len(one.dims) for one in model.graph.initializer}
    return frozenset(
        node.name
        for node in model.graph.node
        if node.op_type in quantizable
        and node.name not in floats
        and not is_heavy(node, ranks)
        and not (node.op_type == "Add" and not ranks.keys() & set(node.input))
    )


class _Search:
    """The graph, and which of its nodes are free to be either."""

    def __init__(
        self, model: onnx.ModelProto, quantizable: Collection[str], floats: frozenset[str]
    ) -> None:
        self.nodes = list(model.graph.node)
        able = [
            index
            for index, node in enumerate(self.nodes)
            if node.op_type in quantizable and node.name not in floats
        ]
        ranks = {one.name: len(one.dims) for one in model.graph.initializer}
        products = {i for i in able if self.nodes[i].op_type == "MatMul"}
        self._heavy = {i for i in able if is_heavy(self.nodes[i], ranks)}
        self.products = sorted(products - self._heavy)
        self.free = [i for i in able if i not in self._heavy | products]
        self._tensors = _tensors(model, self.nodes, ranks.keys())
        self._touching: dict[int, list[_Tensor]] = defaultdict(list)
        for one in self._tensors:
            for index in {one.maker, *one.users} - {None}:
                assert index is not None
                self._touching[index].append(one)

    def improved(self, start: bool) -> list[bool]:
        """Whether each node is in integers, from all free ones being so, or none."""
        chosen = [False] * len(self.nodes)
        for index in self._heavy:
            chosen[index] = True
        for index in self.free:
            chosen[index] = start
        islands = list(_islands(self.free, self._touching))
        for _ in range(_ROUNDS):
            flipped = [self._flip(chosen, group) for group in islands]
            flipped += [self._flip(chosen, [index]) for index in self.free]
            if not any(flipped):
                break
        return chosen

    def _flip(self, chosen: list[bool], group: list[int]) -> bool:
        """Turns them all to what most are not, if that costs less."""
        before = [chosen[index] for index in group]
        target = sum(before) * 2 <= len(before)
        cost = self._around(chosen, group)
        for index in group:
            chosen[index] = target
        if self._around(chosen, group) < cost - 1e-9:
            return True
        for index, value in zip(group, before, strict=True):
            chosen[index] = value
        return False

    def cost(self, chosen: list[bool]) -> float:
        """Nanoseconds of all light operators and conversions."""
        return self._around(chosen, range(len(self.nodes)))

    def _around(self, chosen: list[bool], group: Iterable[int]) -> float:
        touched = {id(one): one for index in group for one in self._touching[index]}
        total = sum(self._conversion(one, chosen) for one in touched.values())
        return total + sum(self._operator(index, chosen) for index in group)

    def _operator(self, index: int, chosen: list[bool]) -> float:
        kind = self.nodes[index].op_type
        if kind in HEAVY or not (given := self._touching[index]):
            return 0.0
        size = max(one.size for one in given)
        return _NS.get(kind, _MOVING_NS)[chosen[index]] * size

    def _conversion(self, one: _Tensor, chosen: list[bool]) -> float:
        to_float = one.is_output or any(not chosen[user] for user in one.users)
        to_integers = any(chosen[user] for user in one.users)
        if one.maker is None or not chosen[one.maker]:
            return (_QUANTIZE_NS + _ROUNDING_NS) * one.size * to_integers
        gives_floats = self.nodes[one.maker].op_type in _GIVES_FLOATS and not to_integers
        if gives_floats:
            return 0.0
        return (_ROUNDING_NS + _DEQUANTIZE_NS * to_float) * one.size


def is_heavy(node: Any, ranks: Mapping[str, int]) -> bool:
    """Whether it is worth conversions; `ranks` are those of the constants.

    Of products those with a matrix of weights on the right: ONNX Runtime's integer kernels take
    scales for each column of such, and of nothing else.
    """
    if node.op_type != "MatMul":
        return node.op_type in HEAVY
    return ranks.get(node.input[1]) == _MATRIX and node.input[0] not in ranks


def _tensors(model: onnx.ModelProto, nodes: list[Any], constants: Collection[str]) -> list[_Tensor]:
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    users: dict[str, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        for name in used_by(node):
            users[name].append(index)
    outputs = {value.name for value in model.graph.output}
    found = {}
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        kind = value.type.tensor_type
        if value.name in constants or kind.elem_type not in (1, 10):
            continue
        sizes = [max(1, dim.dim_value) for dim in kind.shape.dim]
        found[value.name] = _Tensor(
            maker=makers.get(value.name),
            users=tuple(users[value.name]),
            is_output=value.name in outputs,
            size=math.prod(sizes),
        )
    return list(found.values())


def _islands(movable: list[int], touching: dict[int, list[_Tensor]]) -> Iterator[list[int]]:
    """Free nodes that pass tensors to one another."""
    left = set(movable)
    for first in movable:
        if first not in left:
            continue
        island, waiting = [], [first]
        left.discard(first)
        while waiting:
            index = waiting.pop()
            island.append(index)
            near = {n for one in touching[index] for n in (one.maker, *one.users) if n in left}
            left -= near
            waiting += sorted(n for n in near if n is not None)
        yield sorted(island)
