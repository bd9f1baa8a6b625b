"""Small parts between others in FP32 join them where that saves conversions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgesmith.quantize.half.operators import HEAVY
from edgesmith.quantize.half.plan import Plan, tensors_of


def joined_islands(plan: Plan) -> frozenset[str]:
    """The nodes of the plan that had better be FP32: each group needs fewer conversions then.

    A group is what hangs together of nodes without heavy work, or one of them.
    """
    start = plan
    while True:
        before = plan
        for group in (*_groups(plan), *([name] for name in _light(plan))):
            plan = _without(plan, group)
        if plan.half == before.half:
            return start.half - plan.half


def _without(plan: Plan, names: Iterable[str]) -> Plan:
    group = frozenset(names) & plan.half
    smaller = Plan(graph=plan.graph, half=plan.half - group)
    nodes = plan.graph.nodes
    touched = {tensor for name in group for tensor in tensors_of(plan.graph, nodes[name])}
    now, then = (sum(map(one.conversions, touched)) for one in (plan, smaller))
    return smaller if then < now else plan


def _light(plan: Plan) -> list[str]:
    nodes = plan.graph.model.graph.node
    return [one.name for one in nodes if one.name in plan.half and one.op_type not in HEAVY]


def _groups(plan: Plan) -> Iterator[list[str]]:
    light = dict.fromkeys(_light(plan))
    beside: dict[str, list[str]] = {name: [] for name in light}
    for name, readers in plan.graph.readers.items():
        maker = plan.graph.producer.get(name)
        if maker is None or maker.name not in light or not plan.graph.is_float(name):
            continue
        for reader, _ in readers:
            if reader.name in light:
                beside[maker.name].append(reader.name)
                beside[reader.name].append(maker.name)
    left = dict(light)
    while left:
        group, waiting = [], [next(iter(left))]
        while waiting:
            name = waiting.pop()
            if name in left:
                del left[name]
                group.append(name)
                waiting += beside[name]
        yield group
