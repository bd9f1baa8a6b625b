"""What a model takes: every tensor of forward()'s arguments, however nested, under a name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .failures import WorkerFailure
from .outputs import named_outputs, to_numpy

Array = np.ndarray[Any, Any]
Step = str | int
Path = tuple[Step, ...]

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_STEP = re.compile(r'\[(\d{1,4})\]|\["([^"\[\]]+)"\]|\.([A-Za-z_]\w*)')


@dataclass(frozen=True)
class Leaf:
    """One tensor that the model takes; strings in `shape` name dynamic dimensions.

    `path` leads to it: a parameter of forward(), then indices and keys. `example` is what the
    source itself brings, `range` the lowest and highest value that it is checked with.
    """

    name: str
    path: Path
    dtype: str
    shape: tuple[int | str, ...]
    example: Array | None = None
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Interface:
    """The leaves in the order of the ONNX inputs, and how they become arguments of forward().

    `is_flat`: they are its first positional arguments, in order. `ranges` bounds dynamic
    dimensions where the source does, `derived` gives those that follow from others, `steps` the
    first, second and so on of the sizes of those that take only some, such as the even ones.
    """

    leaves: tuple[Leaf, ...]
    bind: Callable[[Sequence[Any]], tuple[tuple[Any, ...], dict[str, Any]]]
    is_flat: bool
    ranges: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    derived: Mapping[str, Callable[[Mapping[str, int]], int]] = field(default_factory=dict)
    steps: Mapping[str, Callable[[int], int]] = field(default_factory=dict)

    def dimensions(self) -> list[str]:
        """The dynamic dimensions whose sizes can be chosen."""
        named = [d for leaf in self.leaves for d in leaf.shape if isinstance(d, str)]
        return [d for d in dict.fromkeys(named) if d not in self.derived]

    def complete(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """The sizes with those that follow from them."""
        return {**sizes, **{name: given(sizes) for name, given in self.derived.items()}}

    def tensors(self, arrays: Iterable[Array]) -> list[Any]:
        import torch

        return [torch.from_numpy(np.array(array)) for array in arrays]

    def call(self, module: Any, arrays: Sequence[Array]) -> dict[str, Array]:
        """Runs the module without gradients; outputs by name, in order."""
        import torch

        tensors = self.tensors(arrays)
        args, kwargs = self.bind(tensors)
        with torch.inference_mode():
            result = module(*args, **kwargs)
        for leaf, tensor, array in zip(self.leaves, tensors, arrays, strict=True):
            if not np.array_equal(tensor.numpy(), array, equal_nan=array.dtype.kind == "f"):
                raise WorkerFailure(
                    f"forward() changes its input '{leaf.name}' in place, which no ONNX model does",
                    where="model.source",
                    hint=f"let forward() work on a copy, such as {leaf.path[0]}.clone(), and use"
                    " operators without a trailing underscore",
                )
        taken = [leaf.name for leaf in self.leaves]
        return {name: to_numpy(name, value) for name, value in named_outputs(result, taken).items()}


def parse_argument(text: str) -> Path:
    """`state[0]`, `batch.ids` or `batch["ids"]` as a path."""
    head = re.match(r"[A-Za-z_]\w*", text)
    steps: list[Step] = [head[0]] if head else []
    position = head.end() if head else 0
    while head and position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            break
        steps.append(int(found[1]) if found[1] else found[2] or found[3])
        position = found.end()
    if not head or position < len(text):
        raise WorkerFailure(
            f"argument = {text!r} is no place in forward()'s arguments",
            where="[model.inputs]",
            hint='write the parameter, then indices and keys: state[0], batch.ids, batch["ids"]',
            usage=True,
        )
    return tuple(steps)


def shown_path(path: Path) -> str:
    """The path as it is written under `argument`."""
    words = [f"[{s}]" if isinstance(s, int) else f".{s}" for s in path[1:]]
    return str(path[0]) + "".join(words)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each path: its steps joined, numbered where two are alike."""
    taken: set[str] = set()
    names = []
    for path in paths:
        base = name = "_".join(re.sub(r"\W+", "_", str(step)) for step in path)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        names.append(name)
    return names


class Slot:
    """Stands for the leaf of that index in a structure of arguments."""

    def __init__(self, index: int) -> None:
        self.index = index


def fill(structure: Any, tensors: Sequence[Any]) -> Any:
    """The structure with its slots replaced."""
    if isinstance(structure, Slot):
        return tensors[structure.index]
    if isinstance(structure, dict):
        return {key: fill(value, tensors) for key, value in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(fill(value, tensors) for value in structure))
    if isinstance(structure, (tuple, list)):
        return type(structure)(fill(value, tensors) for value in structure)
    return structure


def from_example(
    module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], where: str
) -> Interface:
    """The interface that example inputs show; their numbers, texts and None stay as they are."""
    found: list[tuple[Path, Any]] = []

    def slots(value: Any, path: Path) -> Any:
        if is_tensor(value):
            found.append((path, value))
            return Slot(len(found) - 1)
        if isinstance(value, Mapping):
            return {key: slots(inner, (*path, str(key))) for key, inner in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            named = zip(value._fields, value, strict=True)
            return type(value)(*(slots(inner, (*path, key)) for key, inner in named))
        if isinstance(value, (tuple, list)):
            return type(value)(slots(inner, (*path, i)) for i, inner in enumerate(value))
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise WorkerFailure(
            f"the example input {shown_path(path)} is a {type(value).__name__}",
            where=where,
            hint="give tensors, and tuples, lists and dicts of them; wrap the model in a module"
            " whose forward() makes other things of them",
        )

    positional = positional_paths(module, len(args))
    held = tuple(slots(value, path) for value, path in zip(args, positional, strict=True))
    keywords = {key: slots(value, (key,)) for key, value in kwargs.items()}
    names = unique_names([path for path, _ in found])
    leaves = tuple(
        _example_leaf(name, path, value, where)
        for name, (path, value) in zip(names, found, strict=True)
    )
    return Interface(
        leaves=leaves,
        bind=lambda tensors: (fill(held, tensors), fill(keywords, tensors)),
        is_flat=not keywords and all(isinstance(value, Slot) for value in held),
    )


def is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, (torch.Tensor, np.ndarray))


def _example_leaf(name: str, path: Path, value: Any, where: str) -> Leaf:
    array = value if isinstance(value, np.ndarray) else to_numpy(name, value, where=where)
    return Leaf(name, path, array.dtype.name, tuple(array.shape), example=array)


def parameters_of(module: Any) -> list[inspect.Parameter] | None:
    """forward()'s parameters; None where they can't be told."""
    schema = getattr(module.forward, "schema", None)
    if schema is not None:
        return [_of_schema(argument) for argument in schema.arguments[1:]]
    try:
        return list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return None


def _of_schema(argument: Any) -> inspect.Parameter:
    """A parameter of a scripted forward()."""
    has_default = argument.has_default_value()
    return inspect.Parameter(
        argument.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=argument.default_value if has_default else inspect.Parameter.empty,
    )


def names_arguments(module: Any, names: Iterable[str]) -> bool:
    """Whether forward() takes each of these by its name."""
    parameters, given = parameters_of(module) or [], dict.fromkeys(names)
    known = {one.name for one in parameters}
    if known and set(given) <= known:
        return True
    if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return False
    try:
        inspect.Signature(parameters).bind(**given)
    except TypeError:
        return False
    return True


def positional_paths(module: Any, count: int) -> list[Path]:
    """Names for arguments that are given by position."""
    paths: list[Path] = []
    for parameter in parameters_of(module) or ():
        if parameter.kind in POSITIONAL:
            paths.append((parameter.name,))
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            paths += [(parameter.name, i) for i in range(count - len(paths))]
    return [*paths, *(("input", i) for i in range(count))][:count]
