"""What [model.inputs] says of a model's inputs: all of it, or what the source leaves open."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .failures import WorkerFailure
from .signature import (
    POSITIONAL,
    Interface,
    Leaf,
    Path,
    Slot,
    fill,
    names_arguments,
    parameters_of,
    parse_argument,
    positional_paths,
    shown_path,
)


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
    if any(one["argument"] for one in declared) or names_arguments(module, names):
        return [
            parse_argument(one["argument"]) if one["argument"] else (one["name"],)
            for one in declared
        ]
    paths = positional_paths(module, len(names))
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
        _place(held, leaf, Slot(index))
    arguments = {name: _closed(value) for name, value in held.items()}
    parameters = parameters_of(module)
    if parameters is None:
        return Interface(leaves, lambda t: (fill(tuple(arguments.values()), t), {}), is_flat=True)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    contiguous = True
    for one in parameters:
        given = one.name in arguments
        if one.kind in POSITIONAL:
            contiguous = contiguous and given
            if given and contiguous:
                args.append(arguments.pop(one.name))
        elif one.kind is inspect.Parameter.VAR_POSITIONAL and given:
            args.extend(_as_tuple(arguments.pop(one.name)))
        elif one.kind is inspect.Parameter.VAR_KEYWORD:
            kwargs.update(arguments.pop(one.name, {}))
    kwargs.update(arguments)
    _check_binding(parameters, args, kwargs, leaves, where)
    order = [value.index for value in args if isinstance(value, Slot)]
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


def _place(held: dict[Any, Any], leaf: Leaf, slot: Slot) -> None:
    """Puts the slot at the leaf's path; every place may be taken once."""
    inner: Any = held
    for step in leaf.path[:-1]:
        inner = inner.setdefault(step, {})
        if isinstance(inner, Slot):
            break
    if isinstance(inner, Slot) or leaf.path[-1] in inner:
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
    steps = {renamed.get(name, name): given for name, given in interface.steps.items()}
    return replace(interface, leaves=tuple(leaves), ranges=ranges, derived=derived, steps=steps)


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
