"""Runs one operation of the worker, the only place where the user's code is executed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from edgesmith.cache import Dependency, observe
from edgesmith.errors import ModelError, UsageError
from edgesmith.events import EventStream, Progress
from edgesmith.process import Command, run
from edgesmith.project.project import Project
from edgesmith.stages import scratch_folder

WORKER = Path(__file__).parent.parent / "worker"
WORKER_TIMEOUT_S = 6 * 3600.0
PROBE_TIMEOUT_S = 60.0
# Packages whose versions decide what user code and exporters make.
VERSIONED = ("torch", "onnx", "onnxscript", "numpy", "onnxruntime", "onnxsim", "safetensors")

_PROBE = """
import json, platform, sys
from importlib import metadata
found = {"python": platform.python_version(), "executable": sys.executable}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python that runs user code, and the versions of what it has installed."""

    path: str
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class WorkerResult:
    """An operation's result and what the user's code read."""

    result: Mapping[str, Any]
    dependencies: tuple[Dependency, ...]
    tools: Mapping[str, str]


def own_interpreter() -> Interpreter:
    """The Python that runs edgesmith."""
    versions = {"python": sys.version.split()[0]}
    for name in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return Interpreter(path=sys.executable, versions=versions)


def interpreter_of(project: Project, events: EventStream) -> Interpreter:
    """`[model] python`, or ours; raises UsageError when it can't be started."""
    named = project.settings.model.python
    if named is None:
        return own_interpreter()
    path = project.folder / Path(named).expanduser()
    if not path.is_file():
        raise UsageError(
            f"the interpreter '{named}' does not exist",
            where=f"{project.file}, model.python",
            hint="name an interpreter, such as .venv/bin/python, relative to the project file",
        )
    command = Command(
        argv=[path, "-c", _PROBE, *VERSIONED],
        purpose="asking the interpreter of [model] python for its packages",
        hint="name an interpreter that exists, such as .venv/bin/python",
        timeout_s=PROBE_TIMEOUT_S,
        error=UsageError,
        separate_stderr=True,
    )
    found = json.loads(run(command, events=events).output)
    return Interpreter(path=str(path), versions=dict(found))


def call_worker(
    project: Project,
    interpreter: Interpreter,
    operation: str,
    request: Mapping[str, Any],
    *,
    where: str,
    events: EventStream,
) -> WorkerResult:
    """Runs `operation` in a new process in the project's folder; raises ModelError."""
    with scratch_folder(project.build_folder) as folder:
        asked = Path(folder) / "request.json"
        answered = Path(folder) / "response.json"
        ignore = [str(project.folder / "build"), str(project.reports_folder), str(WORKER)]
        common = {"operation": operation, "project": str(project.folder), "ignore": ignore}
        asked.write_text(json.dumps({**common, "where": where, **request}))
        _execute(interpreter, operation, asked, answered, where, events)
        response = json.loads(answered.read_text())
    failure = response["failure"]
    if failure is not None:
        raise ModelError(failure["what"], where=failure["where"], hint=failure["hint"])
    read = [(Path(path), kind) for path, kind in response["dependencies"]]
    return WorkerResult(
        result=response["result"],
        dependencies=observe([*read, *declared(project)], base=project.folder),
        tools=response["tools"],
    )


def declared(project: Project) -> list[tuple[Path, str]]:
    """The files of `[model] depends`; raises UsageError when one is missing."""
    found = []
    for index, name in enumerate(project.settings.model.depends):
        path = project.folder / name
        if not path.is_file():
            raise UsageError(
                f"the file '{name}' does not exist",
                where=f"{project.file}, model.depends[{index}]",
                hint="correct the path; it is relative to the project file",
            )
        found.append((path, "file"))
    return found


def _execute(
    interpreter: Interpreter,
    operation: str,
    asked: Path,
    answered: Path,
    where: str,
    events: EventStream,
) -> None:
    def on_line(line: str) -> None:
        if line.startswith("@progress "):
            done, total = line.split()[1:3]
            events.emit(Progress(stage=operation, done=int(done), total=int(total), unit="samples"))

    command = Command(
        argv=[interpreter.path, WORKER, asked, answered],
        purpose=f"your code ({operation})",
        hint="the process that runs model.py or data.py died; run that file by itself to see why",
        timeout_s=WORKER_TIMEOUT_S,
        error=ModelError,
        cwd=asked.parent,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
    )
    run(command, events=events, on_line=on_line)
    if not answered.is_file():
        raise ModelError(
            f"your code ended the process during {operation} without a result",
            where=where,
            hint="remove calls such as sys.exit() or os._exit() from model.py and data.py",
        )
