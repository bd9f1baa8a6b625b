"""What a model returns: every tensor of it, however nested, under a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .failures import WorkerFailure

_ALONE = "output"
# What ONNX Runtime takes and numpy has.
_KINDS = "fiub"


def named_outputs(result: Any, taken: Iterable[str] = ()) -> dict[str, Any]:
    """Tensors by name: keys, fields and positions joined; `output` where there is none.

    None is left out. No name is among `taken`, the inputs': in ONNX they share a space.
    """
    used = set(taken)
    named: dict[str, Any] = {}
    for path, value in _leaves(result, ()):
        if value is None:
            continue
        base = name = _name(path)
        number = 1
        while name in used:
            number += 1
            name = f"{base}_{number}"
        used.add(name)
        named[name] = _tensor(name, value)
    if not named:
        raise WorkerFailure(
            "forward() returns no tensor",
            where="model.source",
            hint="return a tensor, or a tuple, list or dict of tensors",
        )
    return named


def dropped_outputs(result: Any) -> list[str]:
    """The names of outputs that are None."""
    return [_name(path) for path, value in _leaves(result, ()) if value is None]


def is_flat(result: Any) -> bool:
    """Whether exporters need no help to name its outputs: one level, and no None."""
    return all(len(path) <= 1 and value is not None for path, value in _leaves(result, ()))


def _name(path: tuple[str | int, ...]) -> str:
    if not path:
        return _ALONE
    words = [str(step) for step in path]
    return "_".join([_ALONE, *words] if isinstance(path[0], int) else words)


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    inner: Iterable[tuple[str | int, Any]]
    if isinstance(value, Mapping):
        inner = ((str(key), one) for key, one in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        inner = zip(value._fields, value, strict=True)
    elif isinstance(value, (tuple, list)):
        inner = enumerate(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    else:
        yield path, value
        return
    for step, one in inner:
        yield from _leaves(one, (*path, step))


def _tensor(name: str, value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        raise WorkerFailure(
            f"forward() returns a {type(value).__name__} as '{name}', not a tensor",
            where="model.source",
            hint="return tensors, and tuples, lists and dicts of them; torch.tensor(...) of a"
            " number would be a constant in the model",
        )
    return value


def to_numpy(name: str, value: Any, *, where: str = "model.source") -> np.ndarray[Any, Any]:
    """The tensor's array; raises WorkerFailure for a type that ONNX Runtime is not fed with."""
    try:
        array: np.ndarray[Any, Any] = value.detach().cpu().contiguous().numpy()
    except (TypeError, RuntimeError) as error:
        raise _unsupported(name, f"{value.dtype} {value.layout}", where) from error
    if array.dtype.kind not in _KINDS:
        raise _unsupported(name, str(value.dtype), where)
    return array


def _unsupported(name: str, found: str, where: str) -> WorkerFailure:
    return WorkerFailure(
        f"'{name}' is a tensor of {found}, which can't be an input or output",
        where=where,
        hint="convert it inside of forward(), such as with .float(), or torch.view_as_real() for"
        " complex numbers",
    )
