"""Exports the user's module with one exporter, and runs it on inputs for the comparison."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .failures import WorkerFailure, describe, missing_package, place_in_project
from .modules import call, check_inputs, load_module, random_inputs, weights_digest
from .tensors import SamplesWriter

MAX_SIZE_COMBINATIONS = 16
# Two draws for every combination of sizes: one agreement could be luck.
SEEDS = (1, 2)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Writes `model.onnx` and one `parity-N.safetensors` per size and draw into `folder`."""
    folder = Path(request["folder"])
    inputs, source = request["inputs"], request["source"]
    module = load_module(source)
    check_inputs(module, [one["name"] for one in inputs], source)
    weights = weights_digest(module)
    combinations = size_combinations(request["sizes"])
    outputs = _parity_files(module, request, combinations, folder)
    trace_sizes = {name: max([2, *sizes]) for name, sizes in request["sizes"].items()}
    arrays = random_inputs(inputs, trace_sizes, seed=0)
    reason = _export(module, request, arrays, outputs, folder / "model.onnx")
    return {
        "outputs": outputs,
        "combinations": combinations,
        "draws": len(SEEDS),
        "failed": reason,
        "weights_sha256": weights,
    }


def size_combinations(sizes: dict[str, list[int]]) -> list[dict[str, int]]:
    """Every combination of the dynamic dimensions' sizes, at most MAX_SIZE_COMBINATIONS."""
    combined = itertools.islice(itertools.product(*sizes.values()), MAX_SIZE_COMBINATIONS)
    return [dict(zip(sizes, values, strict=True)) for values in combined]


def _parity_files(
    module: Any, request: dict[str, Any], combinations: list[dict[str, int]], folder: Path
) -> list[str]:
    names: list[str] = []
    numbered = enumerate(itertools.product(combinations, SEEDS))
    for index, (sizes, seed) in numbered:
        arrays = random_inputs(request["inputs"], sizes, seed=seed)
        outputs = _forward(module, arrays, request, sizes)
        writer = SamplesWriter(folder / f"parity-{index}.safetensors")
        tensors = {f"outputs/{name}": value for name, value in outputs.items()}
        for one, array in zip(request["inputs"], arrays, strict=True):
            tensors[f"inputs/{one['name']}"] = array
        writer.add(tensors)
        writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
        names = list(outputs)
    return names


def _forward(module: Any, arrays: list[Any], request: dict[str, Any], sizes: dict[str, int]) -> Any:
    try:
        return call(module, arrays)
    except WorkerFailure:
        raise
    except Exception as error:
        place = place_in_project(error, Path(request["project"]))
        shapes = {
            one["name"]: list(array.shape)
            for one, array in zip(request["inputs"], arrays, strict=True)
        }
        raise WorkerFailure(
            f"the model fails on inputs of shape {shapes}: {describe(error)}",
            where=place or f"model.source = {request['source']!r}",
            hint="correct forward(), or the shapes and sizes under [model.inputs]",
        ) from error


def _export(
    module: Any, request: dict[str, Any], arrays: list[Any], outputs: list[str], path: Path
) -> str:
    """Runs the exporter; the reason when it fails, since another one may be tried."""
    import torch

    names = [one["name"] for one in request["inputs"]]
    options: dict[str, Any] = {
        "input_names": names,
        "output_names": outputs,
        "opset_version": request["opset"],
    }
    if request["exporter"] == "dynamo":
        options |= {
            "dynamo": True,
            "external_data": False,
            "dynamic_shapes": _dynamic_shapes(request["inputs"], request["sizes"]),
        }
    else:
        options |= {"dynamo": False, "dynamic_axes": _dynamic_axes(request["inputs"])}
    example = tuple(torch.from_numpy(array) for array in arrays)
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(module, example, str(path), **options)
    except ImportError as error:
        raise missing_package(error, where=f"model.exporter = {request['exporter']!r}") from error
    except Exception as error:
        return describe(_root(error))
    return "" if path.is_file() else "the exporter wrote no file"


def _root(error: BaseException) -> BaseException:
    """What an exporter's own error was raised from: that names the place in the model."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _dynamic_shapes(inputs: list[dict[str, Any]], sizes: dict[str, list[int]]) -> tuple[Any, ...]:
    from torch.export import Dim

    dims = {name: Dim(name, min=1) for name in sizes}
    return tuple(
        {axis: dims[dim] for axis, dim in enumerate(one["shape"]) if isinstance(dim, str)}
        for one in inputs
    )


def _dynamic_axes(inputs: list[dict[str, Any]]) -> dict[str, dict[int, str]]:
    return {
        one["name"]: {axis: d for axis, d in enumerate(one["shape"]) if isinstance(d, str)}
        for one in inputs
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters' deprecation warnings are ours to know, not the user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
