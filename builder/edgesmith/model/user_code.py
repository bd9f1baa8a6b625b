"""Runs one operation of the worker, the only place where the user's code is executed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from edgesmith.cache import Dependency, observe
from edgesmith.errors import ModelError, UsageError
from edgesmith.events import EventStream, Progress
from edgesmith.files import full_disk
from edgesmith.model.memory import available_bytes
from edgesmith.process import Command, Listeners, describe_end, failure, run
from edgesmith.project.project import Project
from edgesmith.stages import scratch_folder

WORKER = Path(__file__).parent.parent / "worker"
PROBE_TIMEOUT_S = 60.0
_PROGRESS = re.compile(r"@progress (\d{1,12}) (\d{1,12})")
# What user code prints is shown with -v; of it, this much is kept for an error message.
_KEPT_OUTPUT_CHARS = 1 << 16
# The worker runs in the user's interpreter, which may be older than ours.
MIN_WORKER_PYTHON = (3, 10)
# Packages whose versions decide what user code and exporters make.
VERSIONED = ("torch", "onnx", "onnxscript", "numpy", "onnxruntime", "onnxsim", "safetensors")

# The first line keeps modules of the current folder, such as a user's json.py, out of it.
_PROBE = """
import sys; del sys.path[0]
import json, platform
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
        where=f"{project.file}, model.python",
    )
    done = run(command, events=events)
    try:
        found = dict(json.loads(done.output))
        version = tuple(map(int, found["python"].split(".")[:2]))
    except (ValueError, TypeError, KeyError):
        raise failure(command, done, "gave no answer that can be read") from None
    if version < MIN_WORKER_PYTHON:
        raise UsageError(
            f"the interpreter '{named}' is Python {found['python']}; 3.10 or later is needed",
            where=f"{project.file}, model.python",
            hint="name an interpreter of a newer Python",
        )
    return Interpreter(path=str(path), versions=found)


def call_worker(
    project: Project,
    interpreter: Interpreter,
    operation: str,
    request: Mapping[str, Any],
    *,
    where: str,
    events: EventStream,
) -> WorkerResult:
    """Runs `operation` in a new process in the project's folder.

    Raises ModelError, or UsageError where the project file does not fit the user's code.
    """
    with scratch_folder(project.build_folder) as folder:
        asked = Path(folder) / "request.json"
        answered = Path(folder) / "response.json"
        ignore = [str(project.folder / "build"), str(project.reports_folder), str(WORKER)]
        common = {
            "operation": operation,
            "project": str(project.folder),
            "ignore": ignore,
            "where": where,
            "max_memory_bytes": project.settings.worker.max_memory_bytes or available_bytes(),
        }
        asked.write_text(json.dumps({**common, **request}))
        command = _command(project, interpreter, operation, asked, answered, where)
        _execute(command, operation, answered, events)
        response = json.loads(answered.read_text())
    failed = response["failure"]
    if failed is not None:
        full = full_disk(failed["what"], where=failed["where"])
        error = UsageError if failed["usage"] else ModelError
        raise full or error(failed["what"], where=failed["where"], hint=failed["hint"])
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


def _command(
    project: Project,
    interpreter: Interpreter,
    operation: str,
    asked: Path,
    answered: Path,
    where: str,
) -> Command:
    limit_s = project.settings.worker.max_seconds
    return Command(
        argv=[interpreter.path, WORKER, asked, answered],
        purpose=f"your code ({operation})",
        hint="run your code by itself to see why it died; -v shows its whole output",
        timeout_s=limit_s,
        timeout_hint="see with -v where it hangs; for a job that is right and long, set"
        f" [worker] max_seconds, now {limit_s:g}",
        error=ModelError,
        cwd=asked.parent,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
        accept=tuple(range(-64, 256)),
        where=where,
        keep_chars=_KEPT_OUTPUT_CHARS,
    )


def _execute(command: Command, operation: str, answered: Path, events: EventStream) -> None:
    def on_line(line: str) -> None:
        # User code prints to the same stream: what has not exactly this form is its own.
        found = _PROGRESS.fullmatch(line)
        if found:
            done, total = int(found[1]), int(found[2])
            events.emit(Progress(stage=operation, done=done, total=total, unit="samples"))

    def on_silence(seconds: float) -> None:
        events.info(
            f"{operation}: your code has run for {seconds:.0f} s; it may run for"
            f" {command.timeout_s:g} s ([worker] max_seconds)"
        )

    listeners = Listeners(on_line=on_line, on_silence=on_silence)
    done = run(command, events=events, listeners=listeners)
    if done.returncode == -signal.SIGKILL:
        command = replace(
            command,
            hint="when you did not kill it, the system did for want of memory: use less at once,"
            " or set [worker] max_memory_bytes to be told where it goes",
        )
    if done.returncode < 0:
        raise failure(command, done, f"was {describe_end(done.returncode)}")
    if not answered.is_file():
        hint = "remove calls such as sys.exit() or os._exit() from your code"
        finding = f"ended the process without a result ({describe_end(done.returncode)})"
        raise failure(command, done, finding, hint=hint)
