"""Failures that the parent shows to the user, without a traceback."""

from __future__ import annotations

import re
import shlex
import sys
import traceback
from importlib import metadata
from pathlib import Path

_LONGEST_LINE = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What running and exporting a PyTorch model takes, as packages to install.
_TORCH_PACKAGES = "torch onnx onnxscript numpy safetensors"


class WorkerFailure(Exception):
    """An expected failure: what happened, where (file or key), what to do.

    `usage`: the project file is wrong, not the model.
    """

    def __init__(self, what: str, *, where: str, hint: str, usage: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.usage = usage


def place_in_project(error: BaseException, project: Path) -> str | None:
    """`FILE:LINE in FUNCTION` of the innermost frame of the user's own code."""
    if isinstance(error, SyntaxError) and error.filename:
        path = Path(error.filename)
        if path.is_relative_to(project):
            return f"{path.relative_to(project)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if path.is_relative_to(project) and "site-packages" not in path.parts:
            return f"{path.relative_to(project)}:{frame.lineno} in {frame.name}"
    return None


def missing_package(error: ImportError, *, where: str) -> WorkerFailure:
    """What to install when this interpreter lacks something that the worker itself imports."""
    python = shlex.quote(sys.executable)
    command = f"run: {python} -m pip install {_packages()}"
    other = "name an interpreter that has it with [model] python"
    found = f"{sys.executable} has no {error.name}" if error.name else f"{error}"
    return WorkerFailure(
        f"{found}, which the model needs", where=where, hint=f"{command}, or {other}"
    )


def _packages() -> str:
    """edgesmith's own interpreter takes the extra, any other one the packages."""
    try:
        metadata.version("edgesmith")
    except metadata.PackageNotFoundError:
        return _TORCH_PACKAGES
    return "'edgesmith[torch]'"


def describe(error: BaseException) -> str:
    """`TypeName: first lines of the message`."""
    text = _COLOUR.sub("", str(error)).strip()
    lines = [line[:_LONGEST_LINE] for line in text.splitlines()[:6]]
    return f"{type(error).__name__}: " + "\n    ".join(lines) if lines else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed; PyTorch raises a RuntimeError for that."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)
