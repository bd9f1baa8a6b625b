"""Chooses among exports that agree with PyTorch: the fewest nodes, then clearly more speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgesmith.data.samples import read_sample
from edgesmith.export.candidates import Candidate, count_nodes, operators_of
from edgesmith.model import numeric, onnx_file

# Cleans up the first file of each pair into the second; False where that can't be done.
CleanUp = Callable[[Sequence[tuple[Path, Path]]], Sequence[bool]]

_ROUNDS = 7
# Long inferences vary less.
_LONG_NS, _ROUNDS_OF_LONG = 20_000_000, 3
# Equal nodes mostly mean equal speed. Only a difference that no noise makes may decide, so that
# the same model gives the same choice each time.
CLEARLY_FASTER = 1.5


def choose(
    candidates: Sequence[Candidate], clean_up: CleanUp, probe: Path
) -> tuple[Candidate, tuple[Candidate, ...]]:
    """(the best, all with what was measured); those that agree stand in their fixed order.

    One that took a value for a constant is chosen for want of others only. The only one that
    agrees is taken as it is: nothing is cleaned up or timed. Neither is it among graphs of the same
    operators, and none is timed where the clean-up made them so: the first of them is as good as
    any.
    """
    agreeing = [one for one in candidates if not one.reason]
    agreeing = [one for one in agreeing if not one.fixed] or agreeing
    if len({one.operators for one in agreeing}) > 1:
        agreeing = _cleaned(agreeing, clean_up)
        fewest = min(_nodes(one) for one in agreeing)
        level = [one for one in agreeing if _nodes(one) == fewest]
        if len({one.operators_after_clean_up or one.operators for one in level}) > 1:
            timed = {one.mode: one for one in _timed(level, probe)}
            agreeing = [timed.get(one.mode, one) for one in agreeing]
            level = list(timed.values())
        best = level[0]
        fastest = min(level, key=lambda one: one.latency_ns or 0)
        if (best.latency_ns or 0) > CLEARLY_FASTER * (fastest.latency_ns or 0):
            best = fastest
    else:
        best = agreeing[0]
    known = {one.mode: one for one in agreeing}
    return best, tuple(known.get(one.mode, one) for one in candidates)


def _nodes(one: Candidate) -> int:
    return one.nodes_after_clean_up or one.nodes or 0


def _cleaned(candidates: Sequence[Candidate], clean_up: CleanUp) -> list[Candidate]:
    paths = [one.path.with_suffix(".clean.onnx") for one in candidates]
    cleaned = clean_up([(one.path, path) for one, path in zip(candidates, paths, strict=True)])
    return [
        _with_facts_of(path, one) if done else one
        for one, path, done in zip(candidates, paths, cleaned, strict=True)
    ]


def _with_facts_of(path: Path, one: Candidate) -> Candidate:
    graph = onnx_file.load(path, check=False).graph
    return replace(
        one, nodes_after_clean_up=count_nodes(graph), operators_after_clean_up=operators_of(graph)
    )


def _timed(candidates: Sequence[Candidate], probe: Path) -> list[Candidate]:
    """The shortest of a few interleaved runs of each."""
    sessions = [numeric.open_session(one.path) for one in candidates]
    feeds, _ = read_sample(probe, 0)
    shortest = [0] * len(candidates)
    for number in range(_ROUNDS):
        if number >= _ROUNDS_OF_LONG and min(shortest) > _LONG_NS:
            break
        for index, session in enumerate(sessions):
            started = time.perf_counter_ns()
            numeric.run_session(session, feeds, shown_as="the exported model")
            taken = time.perf_counter_ns() - started
            shortest[index] = taken if number == 0 else min(shortest[index], taken)
    return [replace(one, latency_ns=taken) for one, taken in zip(candidates, shortest, strict=True)]
