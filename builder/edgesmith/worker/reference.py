"""Runs the user's PyTorch model over a file of samples: the outputs all else is judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .failures import WorkerFailure
from .model_source import load_source
from .preprocess import apply
from .tensors import Array, SamplesWriter, ShapeChanged, open_samples
from .weights import weights_digest

PROGRESS_EVERY = 25


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Writes `outputs/NAME` for every sample to `output`."""
    source = load_source(request["source"], request["declared"])
    if request["weights_sha256"] not in ("", weights_digest(source.module)):
        raise WorkerFailure(
            "the model has other weights each time it is made",
            where=f"model.source = {request['source']!r}",
            hint="load trained weights in the callable, or call torch.manual_seed there",
        )
    samples = open_samples(Path(request["samples"]))
    inputs = [samples[f"inputs/{one['name']}"] for one in request["inputs"]]
    steps = [one["preprocess"] for one in request["inputs"]]
    writer = SamplesWriter(Path(request["output"]))
    try:
        for index in range(len(inputs[0])):
            fed = [apply(array[index], one) for array, one in zip(inputs, steps, strict=True)]
            outputs = source.interface.call(source.module, fed)
            for name, value in outputs.items():
                if value.dtype.kind == "f" and not np.isfinite(value).all():
                    raise WorkerFailure(
                        f"the PyTorch model's output '{name}' holds NaN or infinity for"
                        f" evaluation sample {index}",
                        where=f"model.source = {request['source']!r}",
                        hint="check the weights and that sample",
                    )
            _add(writer, outputs, request)
            if writer.count % PROGRESS_EVERY == 0:
                print(f"@progress {writer.count} {len(inputs[0])}", flush=True)
        writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
    finally:
        writer.discard()
    return {"count": writer.count}


def _add(writer: SamplesWriter, outputs: dict[str, Array], request: dict[str, Any]) -> None:
    try:
        writer.add({f"outputs/{name}": value for name, value in outputs.items()})
    except ShapeChanged as error:
        raise WorkerFailure(
            f"the PyTorch model's output '{error.name.removeprefix('outputs/')}' of evaluation"
            f" sample {writer.count} {error}",
            where=f"model.source = {request['source']!r}",
            hint="outputs whose size depends on the values can't be compared sample by sample:"
            " pad them to a fixed size in forward(), such as the best 100 and their number",
        ) from error
