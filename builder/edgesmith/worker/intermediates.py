"""Runs the user's model once and keeps what every operator in it gives, with its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .failures import WorkerFailure
from .model_source import TorchSource, load_source
from .outputs import to_numpy
from .randomness import user_place
from .tensors import SamplesWriter, open_samples

# What is kept of a large model: its first operators up to this.
MAX_BYTES = 1 << 30
MAX_VALUES = 20_000


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Writes `values/N` to `output`; tells operator, module and place of each."""
    source = load_source(request["source"], request["declared"])
    probe = open_samples(Path(request["probe"]))
    arrays = [probe[f"inputs/{leaf.name}"][0] for leaf in source.interface.leaves]
    recorder = _Recorder(Path(request["project"]), SamplesWriter(Path(request["output"])))
    recorder.run(source, arrays)
    return {"values": recorder.told}


class _Recorder:
    def __init__(self, project: Path, writer: SamplesWriter) -> None:
        self._project = project
        self._writer = writer
        self._modules: list[str] = []
        self._tensors: dict[str, Any] = {}
        self._bytes = 0
        self.told: list[dict[str, Any]] = []

    def run(self, source: TorchSource, arrays: list[Any]) -> None:
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode

        keep = self._keep

        # PyTorch is untyped to mypy where it is not installed, and typed where it is.
        class Watch(TorchDispatchMode):  # type: ignore[misc, no-untyped-call, unused-ignore]
            def __torch_dispatch__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                result = func(*args, **(kwargs or {}))
                keep(func, result)
                return result

        args, kwargs = source.interface.bind(source.interface.tensors(arrays))
        watch: Any = Watch
        with self._hooks(source.module), torch.no_grad(), watch():
            source.module(*args, **kwargs)
        self._writer.add(self._tensors)
        self._writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})

    @contextmanager
    def _hooks(self, module: Any) -> Iterator[None]:
        """Keeps the path of the module that runs; scripted ones take no hooks."""
        import torch

        handles: list[Any] = []
        for path, one in module.named_modules():
            if isinstance(one, torch.jit.ScriptModule):
                continue
            handles.append(
                one.register_forward_pre_hook(lambda *_, path=path: self._modules.append(path))
            )
            handles.append(one.register_forward_hook(lambda *_: self._modules.pop() and None))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keep(self, operator: Any, result: Any) -> None:
        import torch

        aliases = [one.alias_info for one in operator._schema.returns]
        is_view = any(one is not None and not one.is_write for one in aliases)
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if not isinstance(value, torch.Tensor) or len(self.told) >= MAX_VALUES:
                continue
            self._bytes += value.numel() * value.element_size()
            if self._bytes > MAX_BYTES:
                return
            try:
                array = to_numpy(str(operator), value).copy()
            except WorkerFailure:
                continue  # of a type that no ONNX value has: there is nothing to compare it with
            self._tensors[f"values/{len(self.told)}"] = array
            self.told.append(
                {
                    "operator": str(operator),
                    "is_view": is_view,
                    "module": self._modules[-1] if self._modules else "",
                    "place": user_place(self._project),
                }
            )
