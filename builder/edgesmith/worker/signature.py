"""What a model takes: every tensor of forward()'s arguments, however nested, under a name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .failures import WorkerFailure
from .outputs import named_outputs, to_numpy

Array = np.ndarray[Any, Any]
Step = str | int
Path = tuple[Step, ...]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
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
    dimensions where the source does, `derived` gives those that follow from others.
    """

    leaves: tuple[Leaf, ...]
    bind: Callable[[Sequence[Any]], tuple[tuple[Any, ...], dict[str, Any]]]
    is_flat: bool
    ranges: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    derived: Mapping[str, Callable[[Mapping[str, int]], int]] = field(default_factory=dict)

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


class _Slot:
    """Stands for the leaf of that index in a structure of arguments."""

    def __init__(self, index: int) -> None:
        self.index = index


def fill(structure: Any, tensors: Sequence[Any]) -> Any:
    """The structure with its slots replaced."""
    if isinstance(structure, _Slot):
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
            return _Slot(len(found) - 1)
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

    positional = _positional_paths(module, len(args))
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
        is_flat=not keywords and all(isinstance(value, _Slot) for value in held),
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


def _positional_paths(module: Any, count: int) -> list[Path]:
    """Names for arguments that are given by position."""
    paths: list[Path] = []
    for parameter in parameters_of(module) or ():
        if parameter.kind in _POSITIONAL:
            paths.append((parameter.name,))
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            paths += [(parameter.name, i) for i in range(count - len(paths))]
    return [*paths, *(("input", i) for i in range(count))][:count]


def from_declared(module: Any, declared: Sequence[Mapping[str, Any]], where: str) -> Interface:
    """The interface that [model.inputs] alone describes."""
    for one in declared:
        if one["shape"] is None:
            raise WorkerFailure(
                f"the input '{one['name']}' has no shape",
                where=f"model.inputs.{one['name']}",
                hint="write shape = [...], or return (module, example_inputs) from the callable",
                usage=True,
            )
    paths = _declared_paths(module, declared)
    leaves = tuple(
        Leaf(one["name"], path, one["dtype"] or "float32", tuple(one["shape"]), range=one["range"])
        for one, path in zip(declared, paths, strict=True)
    )
    return _bound(module, leaves, where)


def _declared_paths(module: Any, declared: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Where each input goes: where it says so, by its name, or by its position."""
    names = [one["name"] for one in declared]
    parameters = parameters_of(module) or []
    known = {p.name for p in parameters}
    if any(one["argument"] for one in declared) or (known and set(names) <= known):
        return [
            parse_argument(one["argument"]) if one["argument"] else (one["name"],)
            for one in declared
        ]
    paths = _positional_paths(module, len(names))
    swapped = [n for n, path in zip(names, paths, strict=True) if n in known and path != (n,)]
    if swapped:
        raise WorkerFailure(
            f"the inputs are listed as {', '.join(names)}, forward() takes"
            f" {', '.join(p.name for p in parameters)}",
            where="[model.inputs]",
            hint="name all inputs as forward()'s parameters, or say for each where it goes, such as"
            ' argument = "state[0]"; inputs with other names are given by position',
            usage=True,
        )
    return paths


def _bound(module: Any, leaves: tuple[Leaf, ...], where: str) -> Interface:
    """Joins the leaves to forward()'s arguments, by position as far as that goes."""
    held: dict[str, Any] = {}
    for index, leaf in enumerate(leaves):
        _place(held, leaf, _Slot(index))
    arguments = {name: _closed(value) for name, value in held.items()}
    parameters = parameters_of(module)
    if parameters is None:
        return Interface(leaves, lambda t: (fill(tuple(arguments.values()), t), {}), is_flat=True)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    contiguous = True
    for one in parameters:
        given = one.name in arguments
        if one.kind in _POSITIONAL:
            contiguous = contiguous and given
            if given and contiguous:
                args.append(arguments.pop(one.name))
        elif one.kind is inspect.Parameter.VAR_POSITIONAL and given:
            args.extend(_as_tuple(arguments.pop(one.name)))
        elif one.kind is inspect.Parameter.VAR_KEYWORD:
            kwargs.update(arguments.pop(one.name, {}))
    kwargs.update(arguments)
    _check_binding(parameters, args, kwargs, leaves, where)
    order = [value.index for value in args if isinstance(value, _Slot)]
    return Interface(
        leaves,
        lambda tensors: (fill(tuple(args), tensors), fill(kwargs, tensors)),
        is_flat=not kwargs and order == list(range(len(leaves))) and len(order) == len(args),
    )


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _check_binding(
    parameters: Sequence[inspect.Parameter],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    leaves: Sequence[Leaf],
    where: str,
) -> None:
    try:
        inspect.Signature(list(parameters)).bind(*args, **kwargs)
    except TypeError as error:
        listed = ", ".join(p.name for p in parameters) or "nothing"
        raise WorkerFailure(
            f"forward() does not take these {len(leaves)} inputs: {error}; it takes {listed}",
            where=f"[model.inputs], {where}",
            hint="list an input for each argument that forward() needs, named as the argument, or"
            ' with its place, such as argument = "state[0]"',
        ) from error


def _place(held: dict[Any, Any], leaf: Leaf, slot: _Slot) -> None:
    """Puts the slot at the leaf's path; every place may be taken once."""
    inner: Any = held
    for step in leaf.path[:-1]:
        inner = inner.setdefault(step, {})
        if isinstance(inner, _Slot):
            break
    if isinstance(inner, _Slot) or leaf.path[-1] in inner:
        raise WorkerFailure(
            f"two inputs go to forward()'s argument {shown_path(leaf.path)}",
            where=f"model.inputs.{leaf.name}",
            hint="give each input a place of its own under argument",
            usage=True,
        )
    inner[leaf.path[-1]] = slot


def _closed(value: Any) -> Any:
    """Nested places as tuples (of numbered ones) and dicts."""
    if not isinstance(value, dict):
        return value
    if all(isinstance(key, int) for key in value):
        if sorted(value) != list(range(len(value))):
            raise WorkerFailure(
                f"of a tuple among forward()'s arguments the places {sorted(value)} are given",
                where="[model.inputs]",
                hint="number them from [0] without gaps",
                usage=True,
            )
        return tuple(_closed(value[index]) for index in range(len(value)))
    return {str(key): _closed(inner) for key, inner in value.items()}


def refined(interface: Interface, declared: Sequence[Mapping[str, Any]]) -> Interface:
    """The source's own inputs with what [model.inputs] adds: names, dynamic dimensions, ranges."""
    leaves = list(interface.leaves)
    used: set[int] = set()
    renamed: dict[str, str] = {}
    for one in declared:
        path = parse_argument(one["argument"]) if one["argument"] else None
        index = next(
            (
                i
                for i, leaf in enumerate(interface.leaves)
                if (leaf.path == path if path else leaf.name == one["name"])
            ),
            None,
        )
        if index is None or index in used:
            raise _not_an_input(one, interface, again=index is not None)
        used.add(index)
        leaves[index] = _merged(interface, interface.leaves[index], one, renamed)
    if len({leaf.name for leaf in leaves}) != len(leaves):
        raise WorkerFailure(
            "two inputs have the same name",
            where="[model.inputs]",
            hint="choose names that no other input has",
            usage=True,
        )
    leaves = [
        replace(one, shape=tuple(renamed.get(d, d) if isinstance(d, str) else d for d in one.shape))
        for one in leaves
    ]
    ranges = {renamed.get(name, name): bounds for name, bounds in interface.ranges.items()}
    back = {new: old for old, new in renamed.items()}
    derived = {
        renamed.get(name, name): _under_old_names(given, back)
        for name, given in interface.derived.items()
    }
    return replace(interface, leaves=tuple(leaves), ranges=ranges, derived=derived)


def _under_old_names(given: Any, back: Mapping[str, str]) -> Any:
    return lambda sizes: given({back.get(name, name): size for name, size in sizes.items()})


def _not_an_input(one: Mapping[str, Any], interface: Interface, *, again: bool) -> WorkerFailure:
    listed = ", ".join(f"{leaf.name} (at {shown_path(leaf.path)})" for leaf in interface.leaves)
    what = "is described twice" if again else "is none of the source's own inputs"
    return WorkerFailure(
        f"the input '{one['argument'] or one['name']}' {what}: {listed}",
        where=f"model.inputs.{one['name']}",
        hint='use these names, or name one anew with its place, such as argument = "state[0]"',
        usage=True,
    )


def _merged(
    interface: Interface, leaf: Leaf, one: Mapping[str, Any], renamed: dict[str, str]
) -> Leaf:
    asked = leaf.shape if one["shape"] is None else tuple(one["shape"])
    # A source with dynamic dimensions of its own, such as a .pt2, decides which they are.
    decided = bool(interface.ranges) or any(
        isinstance(d, str) for each in interface.leaves for d in each.shape
    )
    fits = len(asked) == len(leaf.shape) and all(
        isinstance(want, str) == isinstance(have, str) if decided else True
        for want, have in zip(asked, leaf.shape, strict=True)
    )
    fits = fits and all(
        isinstance(want, str) or isinstance(have, str) or want == have
        for want, have in zip(asked, leaf.shape, strict=True)
    )
    if not fits or one["dtype"] not in (None, leaf.dtype):
        raise WorkerFailure(
            f"'{one['name']}' is declared as {one['dtype'] or leaf.dtype} {list(asked)}, the source"
            f" has {leaf.dtype} {list(leaf.shape)}",
            where=f"model.inputs.{one['name']}",
            hint="correct it, or leave out what the source says itself",
            usage=True,
        )
    for want, have in zip(asked, leaf.shape, strict=True):
        if isinstance(have, str) and isinstance(want, str):
            renamed[have] = want
    shape = leaf.shape if decided else asked
    return replace(leaf, name=one["name"], shape=shape, range=one["range"])
