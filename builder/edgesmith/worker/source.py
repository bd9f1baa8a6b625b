"""Loads what `FILE.py:name` means from the user's project."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .failures import WorkerFailure


def load_callable(reference: str, *, key: str) -> Callable[..., Any]:
    """The callable of `FILE.py:name`; raises WorkerFailure that names the project-file key."""
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise WorkerFailure(
            f"the file '{file}' does not exist",
            where=f"{key} = {reference!r}",
            hint="correct the path; it is relative to the project file",
        )
    module = _load_module(path)
    if not hasattr(module, name):
        names = [n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_")]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it defines: {', '.join(sorted(names))}"
        raise WorkerFailure(f"'{file}' has no '{name}'", where=f"{key} = {reference!r}", hint=hint)
    found = getattr(module, name)
    if not callable(found):
        raise WorkerFailure(
            f"'{name}' in '{file}' is a {type(found).__name__}, not a callable",
            where=f"{key} = {reference!r}",
            hint="name a function",
        )
    return found  # type: ignore[no-any-return]


def _load_module(path: Path) -> ModuleType:
    """Imports the file under its own name, so that the project's modules share one copy."""
    name = path.stem if path.parent == Path() else ".".join([*path.parent.parts, path.stem])
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise WorkerFailure(
            f"'{path}' can't be imported as Python", where=str(path), hint="name a .py file"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        # Who asks again is told the same, not what a half-made module lacks.
        sys.modules.pop(name, None)
        raise
    return module
