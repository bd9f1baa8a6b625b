"""The user's own reference outputs take the place of the source's, once they fit the model."""

from __future__ import annotations

from pathlib import Path

from edgesmith.data.samples import OUTPUTS, Samples
from edgesmith.errors import ModelError
from edgesmith.stages import StageResult
from edgesmith.values import ExportedModel, SampleSet
from edgesmith.worker.tensors import SamplesWriter


def take_given_outputs(
    exported: ExportedModel, evaluation: StageResult[SampleSet], reference: Path
) -> None:
    """Rewrites the file `reference`: outputs that the evaluation data gives replace the source's.

    Raises ModelError for an output that the model has not, or of another shape.
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
                outputs[name] = value.astype(outputs[name].dtype)
            writer.add({OUTPUTS + name: value for name, value in outputs.items()})
        writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
    finally:
        writer.discard()
    fresh.replace(reference)
