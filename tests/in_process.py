"""The worker in this process, and exports with it: a table of models imports torch once."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgesmith.cache import Cache
from edgesmith.events import EventStream
from edgesmith.export.stage import export_stage
from edgesmith.model import user_code
from edgesmith.process import Completed
from edgesmith.project.load import load_project
from edgesmith.stages import Context
from edgesmith.values import ExportedModel
from edgesmith.worker import serve
from edgesmith.worker.tracking import ReadTracker

PROJECT = """schema = 1
[model]
name = "one"
source = "{source}"
{model}
{inputs}
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
[targets.host]
platform = "linux-x86_64"
"""


def forget_modules(project: Path, before: Set[str]) -> None:
    """Forgets the project's modules that were imported since `before`.

    All else stays: packages of native code, such as torch, can't be imported twice.
    """
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if (file and Path(file).is_relative_to(project)) or name == "model":
            del sys.modules[name]


@contextlib.contextmanager
def _undone(project: Path) -> Iterator[None]:
    """Undoes what serving a request does to a process that should have ended with it."""
    modules, path, folder = set(sys.modules), list(sys.path), Path.cwd()
    try:
        yield
    finally:
        os.chdir(folder)
        sys.path[:] = path
        forget_modules(project, modules)


def _serve_here(command: Any, **_: Any) -> Completed:
    asked, answered = command.argv[2:]
    project = Path(json.loads(Path(asked).read_text())["project"])
    with _undone(project), contextlib.redirect_stdout(io.StringIO()):
        code = serve.main(str(asked), str(answered))
    return Completed(argv=(), returncode=code, output="", stderr="")


def serve_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the worker answer in this process, without what would outlast the request."""
    monkeypatch.setattr(user_code, "run", _serve_here)
    monkeypatch.setattr(serve, "_bound_memory", lambda limit: None)
    monkeypatch.setattr(ReadTracker, "install", lambda self: None)


@contextlib.contextmanager
def serving_here() -> Iterator[None]:
    """serve_in_process() outside of tests."""
    with pytest.MonkeyPatch.context() as patch:
        serve_in_process(patch)
        yield


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported model, its file and what was said meanwhile."""

    value: ExportedModel
    path: Path
    said: tuple[str, ...]


def write_project(
    folder: Path, code: str = "", *, source: str = "model.py:build", model: str = "",
    inputs: str = "",
) -> Path:  # fmt: skip
    """A project of one model in `folder`; returns its file."""
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(code)
    file = folder / "edgesmith.toml"
    file.write_text(PROJECT.format(source=source, model=model, inputs=inputs))
    return file


def export_here(file: Path) -> Exported:
    """What the export stage makes of the project; raises its EdgesmithError."""
    project = load_project(file)
    events, said = EventStream(), list[str]()
    events.subscribe(lambda event: said.append(str(event)))
    context = Context(events=events, cache=Cache(file.parent / "cache"))
    stage = export_stage(project, user_code.own_interpreter(), context)
    folder = file.parent / "exported"
    folder.mkdir(exist_ok=True)
    made = stage.make(folder)
    return Exported(value=made.value, path=folder / made.value.onnx.path, said=tuple(said))
