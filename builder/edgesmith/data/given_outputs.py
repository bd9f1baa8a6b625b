"""The user's own reference outputs take the place of the source's, once they fit the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgesmith.data.samples import OUTPUTS, Array, Samples
from edgesmith.errors import ModelError
from edgesmith.stages import StageResult
from edgesmith.values import ExportedModel, SampleSet
from edgesmith.worker.tensors import SamplesWriter

# As ONNX's own backend tests compare.
EXPECTED_RTOL, EXPECTED_ATOL = 1e-3, 1e-7


def take_given_outputs(
    exported: ExportedModel, evaluation: StageResult[SampleSet], reference: Path
) -> None:
    """Rewrites the file `reference`: outputs that the evaluation data gives replace the source's.

    Raises ModelError for an output that the model has not, or of another shape; and where the
    model itself must give them, for one that it does not give.
    """
    own = Samples(reference)
    given = Samples(evaluation.folder / evaluation.value.path)
    known = [one.name for one in exported.onnx.outputs]
    where = f"data.evaluation = {evaluation.value.source!r}"
    for name in given.names(OUTPUTS):
        if name not in known:
            raise ModelError(
                f"a reference is given for the output '{name}'; the model has: {', '.join(known)}",
                where=where,
                hint="name the arrays as the model's outputs",
            )
    fresh = reference.with_name(f".{reference.name}.given")
    writer = SamplesWriter(fresh)
    try:
        for index in range(given.count):
            outputs = own.group(OUTPUTS, index)
            for name, value in given.group(OUTPUTS, index).items():
                if value.shape != outputs[name].shape:
                    raise ModelError(
                        f"sample {index}: the reference for '{name}' has the shape"
                        f" {list(value.shape)}, the model's output {list(outputs[name].shape)}",
                        where=where,
                        hint="give what the model should answer, batch dimension included",
                    )
                if evaluation.value.expected:
                    _require_expected(name, index, outputs[name], value, where)
                outputs[name] = value.astype(outputs[name].dtype)
            writer.add({OUTPUTS + name: value for name, value in outputs.items()})
        writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
    finally:
        writer.discard()
    fresh.replace(reference)


def _require_expected(name: str, index: int, found: Array, wanted: Array, where: str) -> None:
    """Raises ModelError unless the model's output is the expected one, by ONNX's own measure."""
    if found.dtype != wanted.dtype:
        raise ModelError(
            f"sample {index}: '{name}' is expected to be {wanted.dtype}, the model gives"
            f" {found.dtype}",
            where=where,
            hint="give the outputs of this very model",
        )
    close = np.isclose(found, wanted, rtol=EXPECTED_RTOL, atol=EXPECTED_ATOL)
    if close.all():
        return
    error = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
    raise ModelError(
        f"sample {index}: the model does not give the expected output '{name}': {(~close).sum()} of"
        f" {close.size} values differ, by {error:.3g} at most (allowed: {EXPECTED_RTOL:g} of the"
        f" value and {EXPECTED_ATOL:g})",
        where=where,
        hint="the expected outputs are of another model or version, or the model is wrong",
    )
