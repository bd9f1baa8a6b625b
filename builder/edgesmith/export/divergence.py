"""Locates the first operator of an exported graph whose value PyTorch does not have.

Values are matched, not names: exporters rename, fuse and decompose as they like. A node counts as
diverging when no value that PyTorch computes equals its output, and neither that of any node that
follows from it; the first such node in the graph's order is named. Limits: inside branches and
loops nothing is told (the If or Loop as a whole is); a graph that is wrong only in how it computes
shapes is located where a wrong shape is first used; and of models whose values take more than
1 GB the rest is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.data.samples import Samples, read_sample
from edgesmith.errors import ModelError
from edgesmith.model import numeric, onnx_file
from edgesmith.values import SessionOptions

# Coarser than the proof: it is where a graph goes wrong that is asked, not by how much.
_TOLERANCE_REL = 1e-3
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\w+)')
_FAILING_NODE = re.compile(r"running (\w+) node\. Name:'([^']*)'")


@dataclass(frozen=True, kw_only=True)
class EagerValue:
    """A value that PyTorch computed: by which operator, in which module, at which line.

    `is_view`: only another shape of a value before.
    """

    array: Any
    operator: str
    is_view: bool
    module: str
    place: str | None


def failing_probe(
    path: Path, probes: Sequence[Mapping[str, Any]], outputs: Sequence[str], folder: Path
) -> Path | None:
    """The file of the largest probe on which the graph differs or fails.

    A small one hides things: of one sample, a transposed output has the same numbers.
    """
    failing: dict[Path, int] = {}
    session = numeric.open_session(path)
    taken = {one.name for one in session.get_inputs()}
    for probe in probes:
        feeds, reference = read_sample(folder / probe["file"], 0)
        feeds = {name: array for name, array in feeds.items() if name in taken}
        try:
            found = numeric.run_session(session, feeds, shown_as="the exported model")
        except ModelError:
            failing[folder / str(probe["file"])] = sum(array.size for array in feeds.values())
            continue
        check = numeric.compare(
            {name: reference[name] for name in outputs},
            found,
            against="PyTorch",
            inputs="",
            sizes={},
            tolerance_rel=probe["tolerance_rel"],
        )
        if not check.passed:
            failing[folder / str(probe["file"])] = sum(array.size for array in feeds.values())
    return max(failing, key=lambda one: failing[one]) if failing else None


def read_eager(path: Path, told: Sequence[Mapping[str, Any]]) -> list[EagerValue]:
    """What the worker's `intermediates` wrote."""
    samples = Samples(path)
    return [
        EagerValue(
            array=samples.whole(f"values/{index}")[0],
            operator=one["operator"],
            is_view=one["is_view"],
            module=one["module"],
            place=one["place"],
        )
        for index, one in enumerate(told)
    ]


def locate(path: Path, probe: Path, eager: Sequence[EagerValue], project: Path) -> str:
    """Words for the first diverging node and its place in the user's code."""
    model = onnx_file.load(path, shown_as="the exported model")
    feeds, _ = read_sample(probe, 0)
    try:
        values = _all_values(model, feeds, path)
    except ModelError as error:
        found = _FAILING_NODE.search(error.what)
        node = next((n for n in model.graph.node if found and n.name == found[2]), None)
        return "" if node is None else f"it stops at {_shown(node, None, project)}"
    matches = {name: _match(array, eager) for name, array in values.items()}
    for name, array in feeds.items():
        matches[name] = _match(array, eager)
    node = _first_diverging(model.graph.node, values, matches)
    if node is None:
        return "all of its nodes compute what PyTorch does, but it returns other values of them"
    return f"it first differs at {_shown(node, _culprit(node, values, matches, eager), project)}"


def _all_values(model: Any, feeds: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Every value of the main graph, from a session without optimizations."""
    import onnx

    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    given = {one.name for one in wide.graph.output}
    for node in wide.graph.node:
        for name in node.output:
            if name and name not in given:
                wide.graph.output.append(onnx.ValueInfoProto(name=name))
    probe = path.with_suffix(".values.onnx")
    probe.write_bytes(wide.SerializeToString())
    session = numeric.open_session(probe, SessionOptions(graph_optimization_level="disable"))
    taken = {one.name for one in session.get_inputs()}
    return numeric.run_session(
        session, {n: a for n, a in feeds.items() if n in taken}, shown_as="the exported model"
    )


def _match(array: Any, eager: Sequence[EagerValue]) -> int | None:
    """The first value of PyTorch with the same numbers, whatever its shape."""
    if not _tells(array):
        return None
    flat = array.ravel()
    for index, one in enumerate(eager):
        if one.array.size == flat.size and _equal(one.array.ravel(), flat):
            return index
    return None


def _tells(array: Any) -> bool:
    """Equal numbers all over may be equal by chance."""
    import numpy as np

    if not isinstance(array, np.ndarray):
        return False
    return bool(array.size and array.dtype.kind in "fiub" and (array != array.flat[0]).any())


def _equal(expected: Any, found: Any) -> bool:
    import numpy as np

    if expected.dtype.kind != "f" or found.dtype.kind != "f":
        return bool(np.array_equal(expected, found))
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return False
    magnitude = max(float(np.abs(expected[finite]).max(initial=0.0)), 1e-6)
    error = float(np.abs(expected[finite] - found[finite]).max(initial=0.0))
    return error <= _TOLERANCE_REL * magnitude


def _first_diverging(
    nodes: Sequence[Any], values: Mapping[str, Any], matches: Mapping[str, int | None]
) -> Any:
    """The first node without a match in what follows from it; those of floats before others."""
    sound: set[str] = set()
    for node in reversed(nodes):
        if any(matches.get(name) is not None for name in node.output) or sound & set(node.output):
            sound.update(node.input)
            sound.update(node.output)
    bad = [n for n in nodes if not sound & set(n.output) and _computes(n, values)]
    floats = [n for n in bad if any(values[o].dtype.kind == "f" for o in n.output if o in values)]
    return next(iter(floats or bad), None)


def _computes(node: Any, values: Mapping[str, Any]) -> bool:
    import numpy as np

    return node.op_type != "Constant" and any(
        isinstance(values.get(name), np.ndarray) for name in node.output
    )


def _culprit(
    node: Any,
    values: Mapping[str, Any],
    matches: Mapping[str, int | None],
    eager: Sequence[EagerValue],
) -> EagerValue | None:
    """The first operator of PyTorch, after those whose values the node takes, that the graph lacks.

    Views are passed over: their numbers are those of an operator before.
    """
    taken = [matches.get(name) for name in node.input]
    last = max((index for index in taken if index is not None), default=-1)
    arrays = [array for array in values.values() if _tells(array)]
    for one in eager[last + 1 :]:
        flat = one.array.ravel()
        if one.is_view or not _tells(one.array):
            continue
        if not any(a.size == flat.size and _equal(flat, a.ravel()) for a in arrays):
            return one
    return None


def _shown(node: Any, culprit: EagerValue | None, project: Path) -> str:
    noted = {one.key.rpartition(".")[2]: one.value for one in node.metadata_props}
    module = culprit.module if culprit else ""
    place = culprit.place if culprit else _noted_place(noted.get("stack_trace", ""), project)
    words = [f"node '{node.name or node.output[0]}' ({node.op_type})"]
    words += [f"for {culprit.operator}"] if culprit else []
    words += [f"in module '{module}'"] if module else []
    words += [f"at {place}"] if place else []
    return " ".join(words)


def _noted_place(trace: str, project: Path) -> str | None:
    """The innermost line of the user's code that the exporter noted."""
    for file, line, function in reversed(_FRAME.findall(trace)):
        if Path(file).is_relative_to(project):
            return f"{Path(file).relative_to(project)}:{line} in {function}"
    return None
