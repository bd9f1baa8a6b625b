"""Finds the operator that makes forward() random."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .model_source import TorchSource


def random_operator(
    source: TorchSource, arrays: Sequence[Any], project: Path
) -> tuple[str, str | None] | None:
    """(operator, `FILE:LINE in FUNCTION` of the user's code) of the first random one."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[tuple[str, str | None]] = []

    # PyTorch is untyped to mypy where it is not installed, and typed where it is.
    class Watch(TorchDispatchMode):  # type: ignore[misc, no-untyped-call, unused-ignore]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if torch.Tag.nondeterministic_seeded in func.tags:
                found.append((str(func), user_place(project)))
            return func(*args, **(kwargs or {}))

    args, kwargs = source.interface.bind(source.interface.tensors(arrays))
    watch: Any = Watch
    with torch.no_grad(), watch():
        source.module(*args, **kwargs)
    return found[0] if found else None


def changed_buffers(source: TorchSource, arrays: Sequence[Any]) -> list[str]:
    """The names of the buffers that a run of forward() changes."""
    import torch

    before = {name: one.clone() for name, one in source.module.named_buffers()}
    args, kwargs = source.interface.bind(source.interface.tensors(arrays))
    with torch.no_grad():
        source.module(*args, **kwargs)
    after = dict(source.module.named_buffers())
    return [name for name, one in before.items() if not torch.equal(one, after[name])]


def user_place(project: Path) -> str | None:
    """Where in the user's own code the caller stands."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.is_relative_to(project) and "site-packages" not in path.parts:
            return f"{path.relative_to(project)}:{frame.lineno} in {frame.name}"
    return None
