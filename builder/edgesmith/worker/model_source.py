"""Brings the PyTorch model that `[model] source` names, and what it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .declared import from_declared, refined
from .failures import WorkerFailure, describe, missing_package
from .signature import (
    Interface,
    Leaf,
    from_example,
    is_tensor,
    names_arguments,
    unique_names,
)
from .source import load_callable

# With it torch.load() refuses every pickle that could run code, whatever its caller asks for.
_NO_PICKLED_CODE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


@dataclass(frozen=True)
class TorchSource:
    """A module in eval mode on the CPU; `program` is the ExportedProgram that it came from."""

    module: Any
    interface: Interface
    program: Any = None

    @property
    def is_scripted(self) -> bool:
        import torch

        return isinstance(self.module, torch.jit.ScriptModule)


def load_source(source: str, declared: Sequence[Mapping[str, Any]]) -> TorchSource:
    """The model with its interface; `declared` is [model.inputs] as the parent sends it."""
    where = f"model.source = {source!r}"
    try:
        import torch
    except ImportError as error:
        raise missing_package(error, where=where) from error
    if source.endswith((".pt2", ".pt")):
        _note_read(source)
        made = _read_program(source, where) if source.endswith(".pt2") else _read_script(source)
    else:
        made = load_callable(source, key="model.source")()
    example: list[Any] | None = None
    if isinstance(made, (tuple, list)) and len(made) == 2 and isinstance(made[0], torch.nn.Module):
        made, *example = made
    if isinstance(made, torch.export.ExportedProgram):
        return TorchSource(made.module(), refined(_of_program(made, where), declared), made)
    if not isinstance(made, torch.nn.Module):
        raise WorkerFailure(
            f"the callable returned a {type(made).__name__}, not a torch.nn.Module",
            where=where,
            hint="return the model itself from the callable, or (model, example_inputs)",
        )
    module = made.cpu().eval()
    if example is not None:
        args, kwargs = _arguments(module, example[0])
        return TorchSource(module, refined(from_example(module, args, kwargs, where), declared))
    if not declared:
        raise WorkerFailure(
            "nothing says what the model takes",
            where=f"[model.inputs], {where}",
            hint="add a table for each input of forward(), such as [model.inputs.image] with"
            ' shape = ["batch", 1, 8, 8], or return (model, example_inputs) from the callable',
            usage=True,
        )
    return TorchSource(module, from_declared(module, declared, where))


def _note_read(source: str) -> None:
    """Native code reads these files: this open() is what tells that they were read."""
    with Path(source).open("rb"):
        pass


def _read_program(source: str, where: str) -> Any:
    import torch

    before = os.environ.get(_NO_PICKLED_CODE)
    os.environ[_NO_PICKLED_CODE] = "1"
    try:
        # Untyped in some releases of PyTorch, absent where it is not installed.
        return torch.export.load(source)  # type: ignore[no-untyped-call, unused-ignore]
    # A damaged file makes the loader fail anywhere, in zip, JSON or tensors.
    except Exception as error:
        raise WorkerFailure(
            f"'{source}' can't be read as an ExportedProgram: {describe(error)}",
            where=where,
            hint="write it with torch.export.save(torch.export.export(...), FILE), by the same"
            " release of PyTorch; what it holds must be plain tensors",
        ) from error
    finally:
        if before is None:
            del os.environ[_NO_PICKLED_CODE]
        else:
            os.environ[_NO_PICKLED_CODE] = before


def _read_script(source: str) -> Any:
    import torch

    try:
        load: Any = torch.jit.load
        return load(source, map_location="cpu")
    # TorchScript's reader throws bare RuntimeErrors and what the zip reader throws.
    except Exception as error:
        raise _no_script(source, error) from error


def _no_script(source: str, error: Exception) -> WorkerFailure:
    """What a .pt file is that is no TorchScript; nothing of it is unpickled that could run."""
    import torch

    where = f"model.source = {source!r}"
    in_python = "source = 'model.py:build', a function that makes the module{} and returns it"
    try:
        held = torch.load(source, map_location="cpu", weights_only=True)
    # Whatever the reader says of it: then it is no file of weights either.
    except Exception:
        held = None
    if isinstance(held, Mapping):
        loads = f", calls load_state_dict(torch.load({source!r}, weights_only=True))"
        return WorkerFailure(
            f"'{source}' holds weights (a state_dict), not a model",
            where=where,
            hint=in_python.format(loads),
        )
    pickled = "weights_only" in str(error) or _is_pickle(Path(source))
    if pickled or held is not None:
        return WorkerFailure(
            f"'{source}' is a pickled object, not TorchScript; unpickling could run any code, so it"
            " is not opened",
            where=where,
            hint="save it as TorchScript with torch.jit.save, as .pt2 with torch.export.save, or "
            + in_python.format(""),
        )
    return WorkerFailure(
        f"'{source}' can't be read as TorchScript: {describe(error)}",
        where=where,
        hint="the file may be truncated: save it again with torch.jit.save",
    )


def _is_pickle(path: Path) -> bool:
    """Whether torch.save() wrote it: an archive with data.pkl and no code, or a bare pickle."""
    import zipfile

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
        return "data.pkl" in names and "constants.pkl" not in names
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def _arguments(module: Any, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The example as arguments; a dict of forward()'s parameters is keyword arguments."""
    if isinstance(example, Mapping):
        if example and names_arguments(module, map(str, example)):
            return (), {str(key): value for key, value in example.items()}
        return (example,), {}
    if is_tensor(example) or hasattr(example, "_fields") or not isinstance(example, (tuple, list)):
        return (example,), {}
    return tuple(example), {}


def _of_program(program: Any, where: str) -> Interface:
    """The inputs of an ExportedProgram with their dynamic dimensions and ranges."""
    import torch

    signature = program.graph_signature
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    inputs = [spec.arg for spec in signature.input_specs if spec.kind.name == "USER_INPUT"]
    values = [
        nodes[arg.name].meta.get("val") if getattr(arg, "name", None) in nodes else arg
        for arg in inputs
    ]
    held = [None if isinstance(v, torch.Tensor) else getattr(a, "value", v)
            for a, v in zip(inputs, values, strict=True)]  # fmt: skip
    chosen = [i for i, value in enumerate(values) if isinstance(value, torch.Tensor)]
    names = unique_names([(inputs[i].name,) for i in chosen])
    symbols = _Symbols(program.range_constraints)
    leaves = tuple(
        Leaf(
            name,
            (inputs[i].name,),
            _dtype_name(name, values[i], where),
            tuple(
                symbols.named(size, f"{name}_dim_{axis}")
                for axis, size in enumerate(values[i].shape)
            ),
        )
        for name, i in zip(names, chosen, strict=True)
    )
    spec = program.call_spec.in_spec

    def bind(tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        flat = list(held)
        for index, tensor in zip(chosen, tensors, strict=True):
            flat[index] = tensor
        args, kwargs = torch.utils._pytree.tree_unflatten(flat, spec)
        return tuple(args), dict(kwargs)

    return Interface(
        leaves=leaves,
        bind=bind,
        is_flat=False,
        ranges=symbols.ranges(),
        derived=symbols.derived(),
        steps=symbols.steps(),
    )


def _dtype_name(name: str, value: Any, where: str) -> str:
    import torch

    from .outputs import to_numpy

    array = to_numpy(name, torch.zeros((), dtype=value.dtype), where=where)
    return str(array.dtype.name)


class _Symbols:
    """Names for the symbolic sizes of an ExportedProgram, in the order in which they come."""

    def __init__(self, constraints: Mapping[Any, Any]) -> None:
        self._constraints = constraints
        self._names: dict[Any, str] = {}

    def named(self, size: Any, name: str) -> int | str:
        import torch

        if not isinstance(size, torch.SymInt):
            return int(size)
        return self._names.setdefault(size.node.expr, name)

    def ranges(self) -> dict[str, tuple[int, int | None]]:
        found: dict[str, tuple[int, int | None]] = {}
        for expression, name in self._names.items():
            bounds = self._constraints.get(expression)
            if bounds is not None and expression.is_symbol:
                upper = int(bounds.upper) if bounds.upper.is_Integer else None
                found[name] = (int(bounds.lower), upper)
        return found

    def derived(self) -> dict[str, Callable[[Mapping[str, int]], int]]:
        """The sizes that are expressions of others, such as 2 * batch."""
        free = {e: name for e, name in self._names.items() if e.is_symbol}
        return {
            name: _evaluation(expression, free)
            for expression, name in self._names.items()
            if not expression.is_symbol and expression.free_symbols <= set(free)
        }

    def steps(self) -> dict[str, Callable[[int], int]]:
        """The sizes that are expressions of a number that is no size itself, such as 2 * n."""
        named = {e for e in self._names if e.is_symbol}
        return {
            name: _stepping(expression, self._constraints)
            for expression, name in self._names.items()
            if len(expression.free_symbols) == 1 and not expression.free_symbols & named
        }


def _stepping(expression: Any, constraints: Mapping[Any, Any]) -> Callable[[int], int]:
    (symbol,) = expression.free_symbols
    bounds = constraints.get(symbol)
    lowest = max(1, int(bounds.lower)) if bounds is not None else 1
    return lambda number: int(expression.subs({symbol: lowest + number - 1}))


def _evaluation(expression: Any, free: Mapping[Any, str]) -> Callable[[Mapping[str, int]], int]:
    def evaluated(sizes: Mapping[str, int]) -> int:
        return int(expression.subs({symbol: sizes[free[symbol]] for symbol in free
                                    if symbol in expression.free_symbols}))  # fmt: skip

    return evaluated
