"""The project: its files, and the interpreter that runs its code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgesmith.doctor.check import Check, failed, pip_install
from edgesmith.doctor.host import disk
from edgesmith.errors import EdgesmithError, ModelError
from edgesmith.events import EventStream
from edgesmith.export.stage import source_kind
from edgesmith.metric_names import is_python_metric, metric_file
from edgesmith.model.user_code import Interpreter, interpreter_of
from edgesmith.project.project import Project

# What the worker and torch's exporters import; edgesmith's own interpreter gets them as an extra.
_FOR_TORCH = ("torch", "onnx", "onnxscript", "numpy")
_FOR_DATA = ("numpy",)


def check_project(project: Project, events: EventStream) -> Iterator[Check]:
    """The model's source, the data it names, and [model] python."""
    part = f"project {project.settings.model.name}"
    yield disk(part, "project folder", project.folder, "move the project to another disk")
    try:
        kind = source_kind(project)
        interpreter = interpreter_of(project, events)
    except EdgesmithError as error:
        yield failed(part, "model", error)
        return
    yield from _files(project, part, kind)
    yield from _packages(project, part, kind, interpreter)


def _files(project: Project, part: str, kind: str) -> Iterator[Check]:
    settings = project.settings
    source = settings.model.source
    named = {"model.source": source.rpartition(":")[0] if kind == "torch" else source}
    for key, value in (
        ("data.calibration", settings.data.calibration),
        ("data.evaluation", settings.data.evaluation),
    ):
        named[key] = value.rpartition(":")[0] if ".py:" in value else value
    for index, metric in enumerate(settings.data.metrics):
        if is_python_metric(metric):
            named[f"data.metrics[{index}]"] = metric_file(metric)
    for index, file in enumerate(settings.model.depends):
        named[f"model.depends[{index}]"] = file
    for key, file in named.items():
        if "*" not in file:
            yield _file(part, key, project.folder / file)


def _file(part: str, key: str, path: Path) -> Check:
    return Check(
        part=part,
        name=key,
        passed=path.exists(),
        found=str(path) if path.exists() else f"{path} does not exist",
        remedy="correct the path; it is relative to the project file",
        exit_code=ModelError.exit_code,
    )


def _packages(project: Project, part: str, kind: str, interpreter: Interpreter) -> Iterator[Check]:
    """Our own interpreter's numpy and onnx are looked at with the machine."""
    own = project.settings.model.python is None
    wanted = _FOR_TORCH if kind == "torch" else _FOR_DATA
    lacking = [name for name in wanted if name not in interpreter.versions]
    remedy = pip_install("'edgesmith[torch]'" if own else " ".join(lacking), interpreter.path)
    if own:
        remedy += ", or name an interpreter that has it with [model] python"
    for name in wanted:
        version = interpreter.versions.get(name)
        yield Check(
            part=part,
            name=f"{name} for the model" if kind == "torch" else f"{name} for the data",
            passed=version is not None,
            found=version or f"not installed for {interpreter.path}",
            remedy=remedy,
            exit_code=ModelError.exit_code,
        )
