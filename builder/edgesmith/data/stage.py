"""The stages that read the user's data: calibration and evaluation samples, reference outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgesmith.data.given_outputs import take_given_outputs
from edgesmith.data.samples import OUTPUTS, Samples
from edgesmith.errors import ModelError
from edgesmith.export.candidates import declared_inputs
from edgesmith.hashing import sha256_file
from edgesmith.model import numeric, onnx_file
from edgesmith.model.user_code import Interpreter, call_worker
from edgesmith.project.project import Project
from edgesmith.stages import Context, Made, Stage, StageResult
from edgesmith.values import ExportedModel, ParityCheck, SampleSet

if TYPE_CHECKING:
    from edgesmith.worker.tensors import SamplesWriter

SAMPLES_FILE = "samples.safetensors"
REFERENCE_FILE = "reference.safetensors"

Kind = Literal["calibration", "evaluation"]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The source model's outputs for every evaluation sample, and the export's parity on them."""

    samples: SampleSet
    parity: ParityCheck


def model_inputs(exported: ExportedModel) -> list[dict[str, Any]]:
    """The inputs that samples must have.

    An input with preprocessing is described as it is fed, with its `preprocess` beside it.
    """
    return [
        {
            "name": one.name,
            "shape": list(one.dims),
            "dtype": one.dtype,
            "preprocess": exported.preprocess.get(one.name),
        }
        for one in exported.onnx.inputs
    ]


def samples_stage(
    project: Project,
    interpreter: Interpreter,
    exported: StageResult[ExportedModel],
    kind: Kind,
    context: Context,
) -> Stage[SampleSet]:
    """The stage that makes `build/<model>/calibration` or `.../evaluation`."""
    data = project.settings.data
    source = data.calibration if kind == "calibration" else data.evaluation
    asked = {
        "source": source,
        "limit": data.calibration_samples if kind == "calibration" else data.evaluation_samples,
        "inputs": model_inputs(exported.value),
        "outputs": [one.name for one in exported.value.onnx.outputs],
    }

    def make(folder: Path) -> Made[SampleSet]:
        path = folder / SAMPLES_FILE
        request = {**asked, "kind": kind, "output": str(path)}
        done = call_worker(
            project,
            interpreter,
            "samples",
            request,
            where=f"data.{kind} = {source!r}",
            events=context.events,
        )
        value = _sample_set(path, source, done.result)
        return Made(value=value, dependencies=done.dependencies)

    return Stage(
        name=kind,
        folder=project.stage_folder(kind),
        base=project.folder,
        key_parts={
            **asked,
            "depends": list(project.settings.model.depends),
            "tools": dict(interpreter.versions),
        },
        value_type=SampleSet,
        make=make,
        state=project.state_folder,
    )


def _sample_set(path: Path, source: str, result: Mapping[str, Any]) -> SampleSet:
    return SampleSet(
        path=path.name,
        sha256=sha256_file(path),
        count=int(result["count"]),
        labelled=bool(result.get("labelled", False)),
        with_reference=bool(result.get("with_reference", False)),
        expected=bool(result.get("expected", False)),
        source=source,
    )


def reference_stage(
    project: Project,
    interpreter: Interpreter,
    exported: StageResult[ExportedModel],
    evaluation: StageResult[SampleSet],
    context: Context,
) -> Stage[Reference]:
    """The stage that makes `build/<model>/reference`: what PyTorch answers to each sample.

    Also the proof that the export agrees with it on the project's own data.
    """

    def make(folder: Path) -> Made[Reference]:
        path = folder / REFERENCE_FILE
        made = _torch_reference if exported.value.source_kind == "torch" else _onnx_reference
        dependencies = made(project, interpreter, exported, evaluation, path, context)
        parity = _parity(exported, evaluation, path)
        if not parity.passed:
            raise ModelError(
                "the exported model differs from the source on the evaluation data: largest error"
                f" {parity.max_abs_error:.3g}, {parity.max_rel_error:.3g} of the largest output",
                where=f"data.evaluation = {project.settings.data.evaluation!r}",
                hint="try [model] exporter = 'torchscript', or report it with the model",
            )
        if evaluation.value.with_reference:
            take_given_outputs(exported.value, evaluation, path)
        found = {"count": evaluation.value.count, "with_reference": True}
        value = Reference(samples=_sample_set(path, "reference", found), parity=parity)
        return Made(value=value, dependencies=dependencies)

    return Stage(
        name="reference",
        folder=project.stage_folder("reference"),
        base=project.folder,
        key_parts={
            "model": exported.value.onnx.sha256,
            "source": project.settings.model.source,
            "samples": evaluation.value.sha256,
            "inputs": model_inputs(exported.value),
            "depends": list(project.settings.model.depends),
            "tools": dict(interpreter.versions),
        },
        value_type=Reference,
        make=make,
        state=project.state_folder,
    )


def _torch_reference(
    project: Project,
    interpreter: Interpreter,
    exported: StageResult[ExportedModel],
    evaluation: StageResult[SampleSet],
    path: Path,
    context: Context,
) -> Any:
    request = {
        "source": project.settings.model.source,
        "samples": str(evaluation.folder / evaluation.value.path),
        "declared": declared_inputs(project),
        "inputs": model_inputs(exported.value),
        "output": str(path),
        "weights_sha256": exported.value.weights_sha256,
    }
    done = call_worker(
        project,
        interpreter,
        "reference",
        request,
        where=f"model.source = {project.settings.model.source!r}",
        events=context.events,
    )
    return done.dependencies


def _onnx_reference(
    project: Project,
    interpreter: Interpreter,
    exported: StageResult[ExportedModel],
    evaluation: StageResult[SampleSet],
    path: Path,
    context: Context,
) -> Any:
    """For an ONNX source the reference is that file, run without graph optimizations.

    Its preprocessing is done by the definition in numpy, so that the graph's nodes are checked.
    """
    from edgesmith.values import SessionOptions
    from edgesmith.worker.preprocess import apply
    from edgesmith.worker.tensors import SamplesWriter

    steps = exported.value.preprocess
    session = numeric.open_session(
        project.folder / project.settings.model.source,
        SessionOptions(graph_optimization_level="disable"),
    )
    writer = SamplesWriter(path)
    try:
        for feeds in Samples(evaluation.folder / evaluation.value.path).feeds():
            prepared = {name: apply(array, steps.get(name)) for name, array in feeds.items()}
            outputs = numeric.run_session(session, prepared, shown_as="the source model")
            _require_finite(outputs, writer.count, project)
            _add_reference(writer, outputs, project)
        writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
    finally:
        writer.discard()
    return ()


def _add_reference(writer: SamplesWriter, outputs: Mapping[str, Any], project: Project) -> None:
    from edgesmith.worker.tensors import ShapeChanged

    try:
        writer.add({OUTPUTS + name: value for name, value in outputs.items()})
    except ShapeChanged as error:
        raise ModelError(
            f"the model's output '{error.name.removeprefix(OUTPUTS)}' of evaluation sample"
            f" {writer.count} {error}",
            where=f"model.source = {project.settings.model.source!r}",
            hint="outputs whose size depends on the values can't be compared sample by sample:"
            " pad them to a fixed size in the model, such as the best 100 and their number",
        ) from error


def _require_finite(outputs: Mapping[str, Any], index: int, project: Project) -> None:
    import numpy as np

    for name, value in outputs.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ModelError(
                f"the model's output '{name}' holds NaN or infinity for evaluation sample {index}",
                where=f"model.source = {project.settings.model.source!r}",
                hint="check the weights and that sample",
            )


def _parity(
    exported: StageResult[ExportedModel], evaluation: StageResult[SampleSet], path: Path
) -> ParityCheck:
    """The worst comparison of the export with the reference over all evaluation samples."""
    model = exported.folder / exported.value.onnx.path
    session = numeric.open_session(model)
    tolerance = numeric.tolerance_of(onnx_file.load(model, data=False))
    samples = Samples(evaluation.folder / evaluation.value.path)
    reference = Samples(path)
    checks = []
    for index, feeds in enumerate(samples.feeds()):
        found = numeric.run_session(session, feeds, shown_as="the exported model")
        named = reference.group(OUTPUTS, index)
        ordered = {one.name: named[one.name] for one in exported.value.onnx.outputs}
        checks.append(
            numeric.compare(
                ordered,
                found,
                against="the source",
                inputs=f"evaluation sample {index}",
                sizes={},
                tolerance_rel=tolerance,
            )
        )
    return numeric.worst(tuple(checks))
