"""Reads a request, runs its operation in the project's folder, writes the response."""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import shlex
import sys
from pathlib import Path
from typing import Any

from .failures import (
    WorkerFailure,
    describe,
    is_out_of_memory,
    missing_package,
    place_in_project,
)
from .tracking import ReadTracker

# Operation -> module beside this file with a function run(request) -> JSON-able result.
OPERATIONS = {
    "export": "torch_export",
    "intermediates": "intermediates",
    "metrics": "metrics",
    "reference": "reference",
    "samples": "collect",
    "simplify": "simplify",
}


def main(request_path: str, response_path: str) -> int:
    """Serves one request; every failure is told in the response, the exit code is 0 then too."""
    request = json.loads(Path(request_path).read_text())
    project = Path(request["project"])
    os.chdir(project)
    sys.path.insert(0, str(project))
    ignore = tuple(Path(path) for path in request["ignore"])
    tracker = ReadTracker(project=project, ignore=ignore)
    try:
        operation = _operation(request)
    except WorkerFailure as failure:
        response = _told(failure)
    else:
        tracker.install()
        _bound_memory(request["max_memory_bytes"])
        response = _run(operation, request, project)
    response["dependencies"] = tracker.found()
    response["tools"] = _tools()
    # Whole or not at all: on a full disk what is printed is the answer.
    partial = Path(f"{response_path}.partial")
    try:
        partial.write_text(json.dumps(response, allow_nan=False))
        partial.rename(response_path)
    except OSError as error:
        print(describe(error), flush=True)
        return 1
    sys.stdout.flush()
    return 0


def _operation(request: dict[str, Any]) -> Any:
    try:
        name = OPERATIONS[request["operation"]]
        return importlib.import_module(f".{name}", package=__package__)
    except ImportError as error:
        raise missing_package(error, where=request["where"]) from error


def _run(operation: Any, request: dict[str, Any], project: Path) -> dict[str, Any]:
    try:
        return {"result": operation.run(request), "failure": None}
    except WorkerFailure as failure:
        return _told(failure)
    except ModuleNotFoundError as error:
        return _failure(
            describe(error),
            place_in_project(error, project) or request["where"],
            f"correct the import, or run: {shlex.quote(sys.executable)} -m pip install PACKAGE,"
            " or name an interpreter that has it with [model] python",
        )
    # Ctrl-C is for the parent, which ends this process: what arrives here was raised by user code.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        place = place_in_project(error, project)
        if is_out_of_memory(error):
            return _out_of_memory(place or request["where"], request["max_memory_bytes"])
        return _failure(
            describe(error),
            place or request["where"],
            "correct the code there; it runs in the project's folder"
            if place
            else "see the message above; -v shows the whole output",
        )


def _bound_memory(limit: int | None) -> None:
    """Past the limit an allocation fails, with the place that asked for it; no swapping."""
    if limit is None:
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _out_of_memory(where: str, limit: int | None) -> dict[str, Any]:
    bound = "" if limit is None else f": your code may take {limit / 1e9:.1f} GB"
    hint = "hold less at once, such as by yielding samples one by one; [worker] max_memory_bytes"
    return _failure(f"out of memory{bound}", where, f"{hint} sets another bound")


def _told(failure: WorkerFailure) -> dict[str, Any]:
    return _failure(failure.what, failure.where, failure.hint, usage=failure.usage)


def _failure(what: str, where: str, hint: str, *, usage: bool = False) -> dict[str, Any]:
    told = {"what": what, "where": where, "hint": hint, "usage": usage}
    return {"result": None, "failure": told}


def _tools() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("torch", "onnx", "numpy", "onnxsim", "onnxscript"):
        module = sys.modules.get(name)
        version = getattr(module, "__version__", None)
        if version is not None:
            versions[name] = str(version)
    return versions
