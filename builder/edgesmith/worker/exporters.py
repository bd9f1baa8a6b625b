"""PyTorch's exporters, each in each of its modes: one file from a module, or a reason."""

from __future__ import annotations

import contextlib
import inspect
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import WorkerFailure, describe, missing_package
from .model_source import TorchSource
from .outputs import named_outputs
from .signature import parameters_of

# What each exporter's own operator library writes; other opsets are converted to afterwards.
_DYNAMO_OPSETS = (18, 23)
_TORCHSCRIPT_OPSETS = (9, 20)
_SIZE = re.compile(r"L\['(\w+)'\](?:\[\d+\])?\.size\(\)\[(\d+)\]")


@dataclass(frozen=True)
class ExportTask:
    """What to export: the example arrays stand in the order of the interface's leaves."""

    source: TorchSource
    arrays: Sequence[Any]
    outputs: Sequence[str]
    outputs_are_flat: bool
    opset: int

    @property
    def names(self) -> list[str]:
        return [leaf.name for leaf in self.source.interface.leaves]


def export(mode: str, task: ExportTask, path: Path) -> dict[str, Any]:
    """Runs one exporter; `failed` is the reason when it can't, since another may be tried.

    `fixed`: places where a trace took a value for a constant, which only dynamic code would not.
    """
    started = time.perf_counter()
    fixed: list[str] = []
    try:
        with _plain_kernels(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            EXPORTERS[mode](task, path)
        fixed = _fixed_places(told) if mode == "trace" else []
        failed = "" if path.is_file() else "the exporter wrote no file"
    except ImportError as error:
        raise missing_package(error, where="model.exporter") from error
    except WorkerFailure as error:
        failed = error.what
    # An exporter runs the user's code and has no base of its own for what it raises.
    except Exception as error:
        failed = describe(_root(error))
    return {"failed": failed, "seconds": time.perf_counter() - started, "fixed": fixed}


def _export(task: ExportTask, path: Path) -> None:
    """The dynamo exporter: what torch.export captures."""
    import torch

    options: dict[str, Any] = {
        "dynamo": True,
        "external_data": False,
        "verbose": False,
        "input_names": task.names,
        "output_names": list(task.outputs),
        "opset_version": _nearest(task.opset, _DYNAMO_OPSETS),
    }
    if task.source.program is not None:
        with torch.no_grad():
            torch.onnx.export(task.source.program, (), str(path), **options)
        return
    shapes = _dynamic_shapes(task)
    wraps = not _takes_directly(task)
    module = _flat_module(task.source) if wraps else task.source.module
    options["dynamic_shapes"] = (shapes,) if wraps else shapes
    with torch.no_grad():
        torch.onnx.export(module, _tensors(task), str(path), **options)


def size_guards(task: ExportTask) -> list[str]:
    """What torch.export found forward() to decide by sizes, such as `x.shape[0] <= 100`.

    The dynamo exporter asks it to forget that: what it writes holds on this side of the decision
    alone. A program that was captured before comes with its promises; a capture that fails tells
    nothing.
    """
    import torch
    from torch.export import Dim

    if task.source.program is not None:
        return []
    wraps = not _takes_directly(task)
    shapes = tuple(
        {axis: Dim.AUTO for axis, d in enumerate(leaf.shape) if isinstance(d, str)}
        for leaf in task.source.interface.leaves
    )
    module = _flat_module(task.source) if wraps else task.source.module
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                module,
                _tensors(task),
                dynamic_shapes=(shapes,) if wraps else shapes,
                strict=False,
            )
    # The exporter runs the user's code and has no base of its own for what it raises.
    except Exception:
        return []
    codes = getattr(program, "_guards_code", [])
    return [_SIZE.sub(r"\1.shape[\2]", code) for code in codes if _SIZE.search(code)]


def _trace(task: ExportTask, path: Path) -> None:
    """The TorchScript exporter on what one run of the module does; scripted parts stay whole."""
    wraps = not _takes_all_directly(task)
    _torchscript(_flat_module(task.source) if wraps else task.source.module, task, path)


def _script(task: ExportTask, path: Path) -> None:
    """The TorchScript exporter on the compiled source code, with its branches and loops."""
    import torch

    script: Any = torch.jit.script
    module = task.source.module if task.source.is_scripted else script(task.source.module)
    if not _takes_all_directly(task):
        # The trace of a call keeps a scripted module whole.
        flat = _flat_module(task.source, module)
        trace: Any = torch.jit.trace
        with torch.no_grad():
            module = trace(flat, _tensors(task), check_trace=False)
    _torchscript(module, task, path)


EXPORTERS: dict[str, Callable[[ExportTask, Path], None]] = {
    "export": _export,
    "trace": _trace,
    "script": _script,
}


def _torchscript(module: Any, task: ExportTask, path: Path) -> None:
    import torch

    axes = {
        leaf.name: {axis: d for axis, d in enumerate(leaf.shape) if isinstance(d, str)}
        for leaf in task.source.interface.leaves
    }
    with torch.no_grad():
        torch.onnx.export(
            module,
            _tensors(task),
            str(path),
            dynamo=False,
            input_names=task.names,
            output_names=list(task.outputs),
            opset_version=_nearest(task.opset, _TORCHSCRIPT_OPSETS),
            dynamic_axes=axes,
        )


def _nearest(opset: int, known: tuple[int, int]) -> int:
    return min(max(opset, known[0]), known[1])


def _tensors(task: ExportTask) -> tuple[Any, ...]:
    return tuple(task.source.interface.tensors(task.arrays))


def _takes_directly(task: ExportTask) -> bool:
    kinds = [one.kind for one in parameters_of(task.source.module) or ()]
    plain = inspect.Parameter.VAR_POSITIONAL not in kinds
    return task.source.interface.is_flat and task.outputs_are_flat and plain


def _takes_all_directly(task: ExportTask) -> bool:
    """For TorchScript, which makes tensors of the defaults of what is not given, even of bools."""
    parameters = parameters_of(task.source.module)
    return _takes_directly(task) and parameters is not None and len(parameters) == len(task.names)


def _flat_module(source: TorchSource, module: Any = None) -> Any:
    """The module with tensors side by side as its inputs and outputs: what ONNX has."""
    import torch

    interface = source.interface
    taken = [leaf.name for leaf in interface.leaves]

    # PyTorch is untyped to mypy where it is not installed, and typed where it is.
    class Flat(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = source.module if module is None else module

        def train(self, mode: bool = True) -> Any:
            """It is in eval mode already, and modules of an ExportedProgram refuse to be told."""
            return self

        def forward(self, *leaves: Any) -> Any:
            args, kwargs = interface.bind(leaves)
            return tuple(named_outputs(self.model(*args, **kwargs), taken).values())

    return Flat().eval()


def _dynamic_shapes(task: ExportTask) -> tuple[Any, ...]:
    from torch.export import Dim

    leaves = task.source.interface.leaves
    names = dict.fromkeys(d for leaf in leaves for d in leaf.shape if isinstance(d, str))
    dims = {name: Dim(name, min=1) for name in names}
    return tuple(
        {axis: dims[d] for axis, d in enumerate(leaf.shape) if isinstance(d, str)}
        for leaf in leaves
    )


def modes_for(source: TorchSource, asked: str) -> list[list[str]]:
    """The modes to try: the first group all, a later one only when none before it agrees."""
    scripts = [["script"]] if source.is_scripted else [["trace"], ["script"]]
    if asked == "torchscript":
        return scripts
    if asked == "dynamo":
        return [["export"]]
    return [["export", *scripts[0]], *scripts[1:]]


def _root(error: BaseException) -> BaseException:
    """What an exporter's own error was raised from: that names the place in the model."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _plain_kernels() -> Iterator[None]:
    """Attention as the operators it is made of: its fused kernels have no ONNX form."""
    import torch

    mha: Any = torch.backends.mha
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def _fixed_places(told: Sequence[warnings.WarningMessage]) -> list[str]:
    """`FILE:LINE: what became a constant there`, once each.

    PyTorch's own code only asserts that way, and it ignores that itself, by a filter that is lost
    when warnings are recorded. The exporters' other warnings are ours to know, not the user's.
    """
    import torch

    jit: Any = torch.jit
    places = {
        f"{_shown(Path(one.filename))}:{one.lineno}": str(one.message).split(" might cause")[0]
        for one in told
        if issubclass(one.category, jit.TracerWarning)
        and not Path(one.filename).is_relative_to(Path(torch.__file__).parent)
    }
    return [f"{place}: {what.splitlines()[0][:120]}" for place, what in places.items()]


def _shown(path: Path) -> str:
    """Relative to the project, which is the worker's folder, or to the packages."""
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    parts = path.parts
    last = max((i for i, part in enumerate(parts) if part == "site-packages"), default=-3)
    return "/".join(parts[last + 1 :])
