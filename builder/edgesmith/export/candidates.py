"""Runs PyTorch's exporters in the worker and compares what each wrote with PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgesmith.data.samples import read_sample
from edgesmith.errors import ModelError, UsageError
from edgesmith.export.interface import fit_interface, loosen_outputs
from edgesmith.export.opsets import max_ir_version, opset_of_project, to_opset
from edgesmith.model import numeric, onnx_file
from edgesmith.model.user_code import Interpreter, WorkerResult, call_worker
from edgesmith.project.project import Project
from edgesmith.stages import Context
from edgesmith.values import ParityCheck

EXPORTERS = {"export": "dynamo", "trace": "torchscript", "script": "torchscript"}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One exporter in one mode: its file, or the reason why there is none that agrees.

    `runs`: ONNX Runtime loads it; it may still fail on some inputs. `operators` are sorted.
    `fixed` are the places where a trace made a constant of a value.
    """

    mode: str
    path: Path
    reason: str
    seconds: float
    runs: bool = False
    fixed: tuple[str, ...] = ()
    nodes: int | None = None
    operators: tuple[str, ...] = ()
    nodes_after_clean_up: int | None = None
    operators_after_clean_up: tuple[str, ...] = ()
    latency_ns: int | None = None
    parity: tuple[ParityCheck, ...] = ()

    @property
    def exporter(self) -> str:
        return EXPORTERS[self.mode]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """All that were tried, and what the worker told of the source."""

    tried: tuple[Candidate, ...]
    worker: WorkerResult

    @property
    def agreeing(self) -> tuple[Candidate, ...]:
        return tuple(one for one in self.tried if not one.reason)

    @property
    def trusted(self) -> tuple[Candidate, ...]:
        """Those that agree and took no value for a constant."""
        return tuple(one for one in self.agreeing if not one.fixed)


def try_candidates(
    project: Project, interpreter: Interpreter, folder: Path, context: Context
) -> Candidates:
    """Every mode of the first group, and those of the next while none agrees that can be trusted
    on other inputs too."""
    tried: list[Candidate] = []
    only: list[str] = []
    while True:
        done, ended = _export(project, interpreter, folder, only, context)
        told = done.result
        groups: list[list[str]] = [list(group) for group in told["groups"]]
        modes = only or groups[0]
        tried += [_candidate(mode, folder, ended, told, project) for mode in modes]
        later = [group for group in groups if not set(group) & {one.mode for one in tried}]
        found = Candidates(tried=tuple(tried), worker=done)
        if found.trusted or not later:
            _tell_failed(found, context)
            return found
        only = later[0]


def _tell_failed(found: Candidates, context: Context) -> None:
    """Where none agrees the error itself says all of it."""
    for one in found.tried:
        if one.reason and found.agreeing:
            context.events.info(
                f"export: {one.exporter} ({one.mode}) was not taken: {one.reason.splitlines()[0]}"
            )


def _export(
    project: Project, interpreter: Interpreter, folder: Path, only: list[str], context: Context
) -> tuple[WorkerResult, dict[str, str]]:
    """The worker's answer, and the modes that ended its process with how they did it.

    One process tries all exporters. When one of them ends it, the others get a new one.
    """
    ended: dict[str, str] = {}
    while True:
        try:
            request = _request(project, folder, only, skip=_begun(folder))
            where = f"model.source = {project.settings.model.source!r}"
            done = call_worker(
                project, interpreter, "export", request, where=where, events=context.events
            )
            return done, ended
        except UsageError:
            raise
        except ModelError as error:
            dead = [m for m in _begun(folder) if not (folder / f"candidate-{m}.json").is_file()]
            dead = [mode for mode in dead if mode not in ended]
            if not dead:
                raise
            ended[dead[0]] = error.what


def _begun(folder: Path) -> list[str]:
    return [mode for mode in EXPORTERS if (folder / f"candidate-{mode}.begun").is_file()]


def declared_inputs(project: Project) -> list[dict[str, Any]]:
    """[model.inputs] as the worker takes it; what is not said is None."""
    return [
        {
            "name": name,
            "shape": None if one.shape is None else list(one.shape),
            "dtype": one.dtype,
            "argument": one.argument,
            "range": None if one.range is None else list(one.range),
        }
        for name, one in project.settings.model.inputs.items()
    ]


def declared_sizes(project: Project) -> dict[str, list[int]]:
    """The sizes that are declared for dynamic dimensions, joined over the inputs."""
    sizes: dict[str, list[int]] = {}
    for one in project.settings.model.inputs.values():
        for dim, given in one.sizes.items():
            known = sizes.setdefault(dim, [])
            known += [size for size in given if size not in known]
    return sizes


def _request(
    project: Project, folder: Path, only: Sequence[str], *, skip: Sequence[str]
) -> dict[str, Any]:
    model = project.settings.model
    return {
        "source": model.source,
        "declared": declared_inputs(project),
        "sizes": declared_sizes(project),
        "opset": opset_of_project(project),
        "exporter": model.exporter,
        "folder": str(folder),
        "only": list(only),
        "skip": list(skip),
    }


def _candidate(
    mode: str, folder: Path, ended: Mapping[str, str], told: Mapping[str, Any], project: Project
) -> Candidate:
    path = folder / f"candidate-{mode}.onnx"
    if mode in ended:
        reason = f"it ended the process: {ended[mode]}"
        return Candidate(mode=mode, path=path, reason=reason, seconds=0.0)
    done = json.loads((folder / f"candidate-{mode}.json").read_text())
    one = Candidate(
        mode=mode,
        path=path,
        reason=str(done["failed"]),
        seconds=round(done["seconds"], 3),
        fixed=tuple(done["fixed"]),
    )
    return one if one.reason else judged(one, told, folder, project)


def judged(one: Candidate, told: Mapping[str, Any], folder: Path, project: Project) -> Candidate:
    """The candidate with its comparisons, and the reason against it; fits its file first."""
    try:
        # Bringing it to the opset checks it.
        model = onnx_file.load(one.path, shown_as="the exported model", check=False)
        fit_interface(model, told["inputs"], told["outputs"])
        model = to_opset(model, opset_of_project(project), ir_version=max_ir_version(project))
        one = replace(one, nodes=count_nodes(model.graph), operators=operators_of(model.graph))
        drawn = onnx_file.random_node(model)
        if drawn is not None:
            return replace(one, reason=f"it is random: the operator {drawn.op_type} draws numbers")
        # With the traces of the exporter: they say where an operator that diverges comes from.
        onnx_file.save(model, one.path)
        session = numeric.open_session(one.path)
        one = replace(one, runs=True)
        parity, shapes = _compare(told["probes"], told["outputs"], session, folder)
    except ModelError as error:
        return replace(one, reason=error.what)
    failed = [check for check in parity if not check.passed]
    if not failed:
        loosen_outputs(model, shapes)
        onnx_file.strip_traces(model)
        onnx_file.save(model, one.path)
        return replace(one, parity=parity)
    return replace(one, parity=parity, reason=_difference(failed))


def _difference(failed: Sequence[ParityCheck]) -> str:
    bad = numeric.worst(tuple(failed))
    sizes = ", ".join(f"{n} = {s}" for n, s in bad.sizes.items()) or "the given shape"
    error = (
        f"largest error {bad.max_abs_error:.3g}, {bad.max_rel_error:.3g} of the largest output"
        f" (allowed {bad.tolerance_rel:.2g})"
        if bad.max_abs_error
        else "other shapes, types or integers"
    )
    return f"its outputs differ from PyTorch's at {sizes} on {bad.inputs}: {error}"


def _compare(
    probes: Sequence[Mapping[str, Any]], outputs: Sequence[str], session: Any, folder: Path
) -> tuple[tuple[ParityCheck, ...], dict[str, list[tuple[int, ...]]]]:
    taken = {one.name for one in session.get_inputs()}
    checks = []
    shapes: dict[str, list[tuple[int, ...]]] = {name: [] for name in outputs}
    for probe in probes:
        feeds, reference = read_sample(folder / probe["file"], 0)
        feeds = {name: array for name, array in feeds.items() if name in taken}
        found = numeric.run_session(session, feeds, shown_as="the exported model")
        for name in outputs:
            shapes[name].append(found[name].shape)
        checks.append(
            numeric.compare(
                {name: reference[name] for name in outputs},
                found,
                against="PyTorch",
                inputs=probe["inputs"],
                sizes=probe["sizes"],
                tolerance_rel=probe["tolerance_rel"],
            )
        )
    return tuple(checks), shapes


def operators_of(graph: Any) -> tuple[str, ...]:
    """Those of a graph and of those inside its branches and loops, sorted."""
    return tuple(sorted(node.op_type for node in onnx_file.nodes_of(graph)))


def count_nodes(graph: Any) -> int:
    """The nodes of a graph and of those inside its branches and loops."""
    return sum(1 for _ in onnx_file.nodes_of(graph))
