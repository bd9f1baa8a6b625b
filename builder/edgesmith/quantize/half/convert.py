"""Converts a float32 model to FP16: all but what would overflow, vanish or lose too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgesmith.events import EventStream
from edgesmith.model import onnx_file
from edgesmith.quantize.calibrate.distribution import Distribution
from edgesmith.quantize.half.magnitudes import Magnitudes
from edgesmith.quantize.half.masks import tame_masks
from edgesmith.quantize.half.plan import Plan
from edgesmith.quantize.half.proof import Proof, weakest
from edgesmith.quantize.half.reading import read_graph
from edgesmith.quantize.half.reasons import reasons_for_float
from edgesmith.quantize.half.result import HalfModel, KeptInFloat
from edgesmith.quantize.half.rewriting import in_half
from edgesmith.quantize.half.rounding import rounded
from edgesmith.quantize.half.settling import Settling

if TYPE_CHECKING:
    import onnx

_LOW_SQNR_DB = 30.0
_MEANT = "the model computes in FP16 already: what it computes in FP32 is meant to be"
_NOTHING = "the model has no nodes in FP32: there is nothing to convert"


def convert_to_half(
    prepared: Path,
    path: Path,
    *,
    found: Mapping[str, Distribution],
    samples: Path,
    exclude: frozenset[str],
    rounded_path: Path,
    events: EventStream,
    threads: int = 0,
) -> HalfModel:
    """Writes the model of the file `prepared` in FP16; inputs and outputs keep their types.

    `rounded_path` gets the same in FP32, rounded wherever FP16 is: a CPU shows by that what a GPU
    computes.
    `found` is what observe() saw of its tensors; with the same `samples` all others are seen here.
    Nodes named in `exclude` stay in FP32. Raises ModelError where FP16 gives no numbers.
    """
    graph = read_graph(onnx_file.load(prepared))
    nodes = [one for one in graph.model.graph.node if graph.computes_in_float(one)]
    already = graph.in_half()
    if not nodes or already:
        plan = Plan(graph=graph, half=frozenset())
        reasons = {one.name: _MEANT for one in nodes}
    else:
        search = Settling(samples=samples, events=events, threads=threads)
        seen = search.observe(graph.model, graph.float_tensors)
        masks = tame_masks(graph, seen)
        reasons = reasons_for_float(masks, _largest(seen, found), exclude)
        plan, reasons = search.settle(masks.graph, reasons, seen)
    half = in_half(plan)
    onnx_file.strip_traces(half)
    onnx_file.save(half, path)
    onnx_file.load(path)
    proof = Proof(reference=prepared, samples=samples, threads=threads)
    onnx_file.save(rounded(plan), rounded_path)
    proof.require(rounded_path)
    proof.require(path)
    for name, ratio in weakest(proof.worst()).items():
        if ratio < _LOW_SQNR_DB:
            events.warning(f"quantize: in FP16 the output '{name}' has {ratio:.0f} dB of FP32's")
    return HalfModel(
        path=path,
        rounded=rounded_path,
        kept=_kept([one for one in nodes if one.name in reasons], reasons, plan),
        converted=len(already) + len(plan.half),
        outputs=proof.worst(),
    )


def _kept(
    nodes: Sequence[onnx.NodeProto], reasons: Mapping[str, str], plan: Plan
) -> tuple[KeptInFloat, ...]:
    """The nodes with their reasons; where nothing was in FP32, that."""
    if not nodes and not plan.half:
        return (KeptInFloat(node="", operator="", reason=_NOTHING),)
    return tuple(
        KeptInFloat(node=one.name, operator=one.op_type, reason=reasons[one.name]) for one in nodes
    )


def _largest(seen: Magnitudes, found: Mapping[str, Distribution]) -> dict[str, float]:
    """The largest finite magnitude of each tensor."""
    ends = np.maximum(np.abs(seen.lowest), np.abs(seen.highest))
    largest = {
        name: float(end) if np.isfinite(end) else 0.0
        for name, end in zip(seen.tensors, ends, strict=True)
    }
    for name, one in found.items():
        told = [abs(end) for end in (one.lowest, one.highest) if np.isfinite(end)]
        largest[name] = max([largest.get(name, 0.0), *told])
    return largest
