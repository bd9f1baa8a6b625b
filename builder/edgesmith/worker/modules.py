"""The user's PyTorch model, its random inputs, and its outputs as named arrays."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .failures import WorkerFailure, missing_package
from .source import load_callable

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def load_module(source: str) -> Any:
    """The nn.Module that the source's callable returns, in eval mode, on the CPU."""
    try:
        import torch
    except ImportError as error:
        raise missing_package(error, where=f"model.source = {source!r}") from error
    module = load_callable(source, key="model.source")()
    if not isinstance(module, torch.nn.Module):
        raise WorkerFailure(
            f"the callable returned a {type(module).__name__}, not a torch.nn.Module",
            where=f"model.source = {source!r}",
            hint="return the model itself from the callable",
        )
    return module.cpu().eval()


def check_inputs(module: Any, names: Sequence[str], source: str) -> None:
    """Raises WorkerFailure when forward() can't take these inputs, in this order.

    They are given by position. Where all are names of forward()'s parameters, their order must be
    that of forward(): anything else would swap inputs without a word.
    """
    try:
        signature = inspect.signature(module.forward)
        signature.bind(*names)
    except TypeError as error:
        raise WorkerFailure(
            f"forward() does not take {len(names)} inputs: {error}",
            where=f"[model.inputs], model.source = {source!r}",
            hint="list the inputs in the order of forward()",
        ) from error
    except ValueError:  # a callable without a signature: only running it can tell
        return
    parameters = [p.name for p in signature.parameters.values() if p.kind in _POSITIONAL]
    if set(names) <= set(parameters) and list(names) != parameters[: len(names)]:
        raise WorkerFailure(
            f"the inputs are listed as {', '.join(names)}, forward() takes {', '.join(parameters)}",
            where=f"[model.inputs], model.source = {source!r}",
            hint="list the inputs in the order of forward(), without gaps: they are given by"
            " position",
        )


def weights_digest(module: Any) -> str:
    """SHA-256 over all parameters and buffers: two calls of the source must give the same."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            plain = value.int_repr() if value.is_quantized else value
            data = plain.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(data.numpy().tobytes())
    return digest.hexdigest()


def random_inputs(
    inputs: Sequence[Mapping[str, Any]], sizes: Mapping[str, int], *, seed: int
) -> list[np.ndarray[Any, Any]]:
    """One array per input: standard normal, or small integers for index types."""
    generator = np.random.default_rng(seed)
    arrays = []
    for one in inputs:
        shape = [sizes[d] if isinstance(d, str) else d for d in one["shape"]]
        dtype = np.dtype(one["dtype"])
        if dtype.kind == "f":
            array = generator.standard_normal(shape).astype(dtype)
        elif dtype.kind == "b":
            array = generator.random(shape) > 0.5
        else:
            array = generator.integers(0, 2, shape).astype(dtype)
        arrays.append(array)
    return arrays


def call(module: Any, arrays: Sequence[np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Runs the module without gradients; outputs by name, in order."""
    import torch

    with torch.inference_mode():
        result = module(*(torch.from_numpy(np.array(array)) for array in arrays))
    return {name: value.detach().cpu().numpy() for name, value in named_outputs(result).items()}


def named_outputs(result: Any) -> dict[str, Any]:
    """Tensors by name: a dict's keys, a named tuple's fields, else output, or output_0 ..."""
    import torch

    if isinstance(result, torch.Tensor):
        return {"output": result}
    if isinstance(result, Mapping):
        named = dict(result)
    elif hasattr(result, "_fields"):
        named = dict(zip(result._fields, result, strict=True))
    elif isinstance(result, (tuple, list)):
        named = {f"output_{index}": value for index, value in enumerate(result)}
    else:
        named = {"output": result}
    for name, value in named.items():
        if not isinstance(value, torch.Tensor):
            raise WorkerFailure(
                f"forward() returns a {type(value).__name__} as '{name}', not a tensor",
                where="model.source",
                hint="return a tensor, or a flat tuple, named tuple or dict of tensors",
            )
    return {str(name): value for name, value in named.items()}
