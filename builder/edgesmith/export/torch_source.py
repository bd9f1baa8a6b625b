"""PyTorch to ONNX: exporters are tried in turn, and the first that agrees with PyTorch is taken."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.cache import Dependency
from edgesmith.errors import ModelError
from edgesmith.files import full_disk
from edgesmith.model import numeric, onnx_file
from edgesmith.model.user_code import Interpreter, call_worker
from edgesmith.project.project import Project
from edgesmith.stages import Context, Made, scratch_folder
from edgesmith.values import ExportAttempt, ExportedModel, ParityCheck

MODEL_FILE = "model.onnx"
_IN_ORDER = {"auto": ("dynamo", "torchscript")}


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    exporter: str
    reason: str
    parity: tuple[ParityCheck, ...]
    dependencies: tuple[Dependency, ...]
    tools: Mapping[str, str]
    weights_sha256: str


def declared_inputs(project: Project) -> list[dict[str, Any]]:
    """The inputs as the worker takes them: name, shape, dtype."""
    return [
        {"name": name, "shape": list(one.shape), "dtype": one.dtype}
        for name, one in project.settings.model.inputs.items()
    ]


def declared_sizes(project: Project) -> dict[str, list[int]]:
    """The sizes to check each dynamic dimension with; 1 and 2 where none are declared."""
    sizes: dict[str, list[int]] = {}
    for one in project.settings.model.inputs.values():
        for dim in one.shape:
            if isinstance(dim, str):
                sizes.setdefault(dim, [])
                sizes[dim] += [s for s in one.sizes.get(dim, ()) if s not in sizes[dim]]
    return {dim: found or [1, 2] for dim, found in sizes.items()}


def export_torch(
    project: Project, interpreter: Interpreter, folder: Path, *, opset: int, context: Context
) -> Made[ExportedModel]:
    """Exports, checks and cleans; raises ModelError when no exporter's model agrees."""
    asked = project.settings.model.exporter
    candidates: list[_Candidate] = []
    for exporter in _IN_ORDER.get(asked, (asked,)):
        with scratch_folder(project.build_folder) as name:
            scratch = Path(name)
            candidate = _try(project, interpreter, scratch, exporter, opset, context)
            candidates.append(candidate)
            if not candidate.reason:
                shutil.copyfile(scratch / MODEL_FILE, folder / MODEL_FILE)
                return _made(candidates, folder)
        context.events.info(f"export: {exporter} was not taken: {candidate.reason}")
    where = f"model.source = {project.settings.model.source!r}"
    reasons = "\n".join(f"    {c.exporter}: {c.reason}" for c in candidates)
    raise full_disk(reasons, where=where) or ModelError(
        f"no exporter gives a model that agrees with PyTorch\n{reasons}",
        where=where,
        hint="see the reasons above: change that part of forward(), declare the sizes that really"
        " occur, and let nothing in it be random",
    )


def _made(candidates: list[_Candidate], folder: Path) -> Made[ExportedModel]:
    taken = candidates[-1]
    model = onnx_file.load(folder / MODEL_FILE)
    value = ExportedModel(
        onnx=onnx_file.describe(model, folder / MODEL_FILE),
        source_kind="torch",
        exporter=taken.exporter,
        attempts=tuple(
            ExportAttempt(exporter=c.exporter, taken=c is taken, reason=c.reason)
            for c in candidates
        ),
        parity=taken.parity,
        tools=dict(taken.tools),
        weights_sha256=taken.weights_sha256,
    )
    return Made(value=value, dependencies=taken.dependencies)


def _try(
    project: Project,
    interpreter: Interpreter,
    folder: Path,
    exporter: str,
    opset: int,
    context: Context,
) -> _Candidate:
    model = project.settings.model
    request = {
        "source": model.source,
        "inputs": declared_inputs(project),
        "sizes": declared_sizes(project),
        "opset": opset,
        "exporter": exporter,
        "folder": str(folder),
    }
    done = call_worker(
        project,
        interpreter,
        "export",
        request,
        where=f"model.source = {model.source!r}",
        events=context.events,
    )
    reason = str(done.result["failed"])
    parity: tuple[ParityCheck, ...] = ()
    if not reason:
        reason, parity = _judge(done.result, folder)
    return _Candidate(
        exporter=exporter,
        reason=reason,
        parity=parity,
        dependencies=done.dependencies,
        tools=done.tools,
        weights_sha256=str(done.result["weights_sha256"]),
    )


def _judge(result: Mapping[str, Any], folder: Path) -> tuple[str, tuple[ParityCheck, ...]]:
    """(reason against the candidate or "", its comparisons); cleans the file first."""
    path = folder / MODEL_FILE
    try:
        model = onnx_file.load(path, shown_as="the exported model")
        onnx_file.strip_traces(model)
        onnx_file.save(model, path)
        parity = _compare(result, folder)
    except ModelError as error:
        return error.what, ()
    failed = [check for check in parity if not check.passed]
    if not failed:
        return "", parity
    bad = numeric.worst(parity)
    sizes = ", ".join(f"{n} = {s}" for n, s in bad.sizes.items()) or "the given shape"
    return (
        f"its outputs differ from PyTorch's at {sizes}: largest error {bad.max_abs_error:.3g},"
        f" {bad.max_rel_error:.3g} of the largest output (allowed {bad.tolerance_rel:g})",
        parity,
    )


def _compare(result: Mapping[str, Any], folder: Path) -> tuple[ParityCheck, ...]:
    from edgesmith.data.samples import read_sample

    session = numeric.open_session(folder / MODEL_FILE)
    checks = []
    draws = int(result["draws"])
    for number, sizes in enumerate(result["combinations"]):
        for draw in range(draws):
            path = folder / f"parity-{number * draws + draw}.safetensors"
            feeds, reference = read_sample(path, 0)
            ordered = {name: reference[name] for name in result["outputs"]}
            found = numeric.run_session(session, feeds, shown_as="the exported model")
            checks.append(
                numeric.compare(
                    ordered,
                    found,
                    against="PyTorch",
                    inputs=f"random draw {draw + 1}",
                    sizes=sizes,
                )
            )
    return tuple(checks)
