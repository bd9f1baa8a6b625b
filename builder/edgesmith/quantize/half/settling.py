"""Finds the nodes without which FP16 gives numbers wherever FP32 does, by running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgesmith.events import EventStream
from edgesmith.quantize.half.graph import FloatGraph
from edgesmith.quantize.half.islands import joined_islands
from edgesmith.quantize.half.magnitudes import Magnitudes, observe_magnitudes
from edgesmith.quantize.half.plan import Plan
from edgesmith.quantize.half.rounding import rounded

if TYPE_CHECKING:
    import onnx

# Each round keeps at least one node more in FP32, and looks one node further back.
_MOST_ROUNDS = 8
_JOINED = "it lies between nodes in FP32: conversions would cost more than FP16 saves"


@dataclass(frozen=True, kw_only=True)
class Settling:
    """With the calibration `samples`."""

    samples: Path
    events: EventStream
    threads: int

    def observe(self, model: onnx.ModelProto, tensors: list[str]) -> Magnitudes:
        """How large these tensors of the model get."""
        return observe_magnitudes(
            model, tensors, self.samples, events=self.events, threads=self.threads
        )

    def settle(
        self, graph: FloatGraph, reasons: Mapping[str, str], seen: Magnitudes
    ) -> tuple[Plan, dict[str, str]]:
        """The plan with which no tensor stops being finite, and why nodes are in FP32 by it.

        `seen` is what FP32 gives. A tensor may be left that does not stop to be broken.
        """
        reasons = dict(reasons)
        for _ in range(_MOST_ROUNDS):
            plan, _joined = _plan(graph, reasons)
            if not plan.half:
                break
            found = self.observe(rounded(plan), list(seen.tensors))
            broken = np.flatnonzero((found.strays > seen.strays).any(axis=0))
            names = [seen.tensors[index] for index in broken]
            added = _culprits(plan, names)
            if not added:
                break
            self.events.debug(f"quantize: FP16 breaks {len(names)} tensors, first '{names[0]}'")
            reasons |= added
        plan, joined = _plan(graph, reasons)
        return plan, {**reasons, **dict.fromkeys(joined, _JOINED)}


def _plan(graph: FloatGraph, reasons: Mapping[str, str]) -> tuple[Plan, frozenset[str]]:
    names = [one.name for one in graph.model.graph.node if graph.computes_in_float(one)]
    plan = Plan(graph=graph, half=frozenset(names) - reasons.keys())
    joined = joined_islands(plan)
    return Plan(graph=graph, half=plan.half - joined), joined


def _culprits(plan: Plan, broken: list[str]) -> dict[str, str]:
    """The nodes in FP16 with which it begins: those that make a broken tensor of sound ones.

    Where such a node is in FP32 already it is the nearest in FP16 before it: what it reads was
    rounded to zero, or lost what a difference leaves.
    """
    bad = set(broken)
    found: dict[str, str] = {}
    for name in broken:
        maker = plan.graph.producer.get(name)
        if maker is None or any(one in bad for one in maker.input):
            continue
        for node in _nearest_in_half(plan, maker.name):
            found.setdefault(node, f"in FP16 '{name}' is not finite with the calibration data")
    return found


def _nearest_in_half(plan: Plan, start: str) -> list[str]:
    found, passed, waiting = [], set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name in passed:
            continue
        passed.add(name)
        if name in plan.half:
            found.append(name)
            continue
        node = plan.graph.nodes[name]
        waiting += [
            plan.graph.producer[one].name for one in node.input if one in plan.graph.producer
        ]
    return found
