"""The export stage: the source becomes one checked FP32 ONNX file."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from edgesmith.errors import ModelError, UsageError
from edgesmith.export.candidates import declared_sizes
from edgesmith.export.onnx_source import take_onnx
from edgesmith.export.opsets import opset_of_project
from edgesmith.export.torch_source import export_torch
from edgesmith.model import onnx_file
from edgesmith.model.adapt import adapt
from edgesmith.model.preprocess import preprocess_of
from edgesmith.model.user_code import Interpreter
from edgesmith.project.project import Project
from edgesmith.stages import Context, Made, Stage
from edgesmith.values import ExportedModel

_CALLABLE = re.compile(r"^.+\.py:[A-Za-z_]\w*$")


def source_kind(project: Project) -> str:
    """`torch` or `onnx`; raises UsageError for any other source."""
    source = project.settings.model.source
    if _CALLABLE.match(source) or source.endswith((".pt2", ".pt")):
        return "torch"
    if source.endswith(".onnx"):
        return "onnx"
    raise UsageError(
        f"found {source!r}; expected FILE.py:callable, FILE.onnx, FILE.pt2 or FILE.pt",
        where=f"{project.file}, model.source",
        hint="name a function that returns the nn.Module, or a model file",
    )


def require_source(project: Project) -> None:
    """Raises ModelError when the source file is missing."""
    model = project.settings.model
    kind = source_kind(project)
    file = model.source.rpartition(":")[0] if _CALLABLE.match(model.source) else model.source
    if not (project.folder / file).is_file():
        there = (project.folder / file).exists()
        raise ModelError(
            f"'{file}' is no file" if there else f"the file '{file}' does not exist",
            where=f"{project.file}, model.source = {model.source!r}",
            hint="correct the path; it is relative to the project file",
        )
    if kind == "torch" and file.endswith(".pt") and not model.inputs:
        raise UsageError(
            "a TorchScript file does not say what the model takes",
            where=f"{project.file}, [model.inputs]",
            hint="add a table for each input of forward(), such as [model.inputs.image] with"
            ' shape = ["batch", 1, 8, 8]',
        )


def export_stage(
    project: Project, interpreter: Interpreter, context: Context
) -> Stage[ExportedModel]:
    """The stage that makes `build/<model>/export/model.onnx`."""
    require_source(project)
    model = project.settings.model
    kind = source_kind(project)
    opset = opset_of_project(project) if kind == "torch" or model.opset is not None else None

    def make(folder: Path) -> Made[ExportedModel]:
        if kind == "onnx":
            made = take_onnx(project, folder)
        else:
            made = export_torch(project, interpreter, folder, context=context)
        return _with_preprocess(project, made, folder)

    return Stage(
        name="export",
        folder=project.stage_folder("export"),
        base=project.folder,
        key_parts={
            "source": model.source,
            "kind": kind,
            "opset": opset,
            "exporter": model.exporter,
            "inputs": [[n, i.model_dump(mode="json")] for n, i in model.inputs.items()],
            "preprocess": {
                n: p.model_dump(mode="json") for n, p in project.settings.preprocess.items()
            },
            "depends": list(model.depends),
            "tools": dict(interpreter.versions),
        },
        value_type=ExportedModel,
        make=make,
        state=project.state_folder,
    )


def _with_preprocess(
    project: Project, made: Made[ExportedModel], folder: Path
) -> Made[ExportedModel]:
    """[preprocess] at the head of the exported graph, proven."""
    value = made.value
    steps = preprocess_of(project, value.onnx.inputs)
    if not steps:
        return made
    path = folder / value.onnx.path
    proofs = adapt(path, steps, checked_sizes(project, value))
    adapted = dataclasses.replace(
        value,
        onnx=onnx_file.describe_file(path),
        parity=(*value.parity, *proofs),
        preprocess={name: one.as_json() for name, one in steps.items()},
    )
    return Made(value=adapted, dependencies=made.dependencies)


def checked_sizes(project: Project, exported: ExportedModel) -> dict[str, list[int]]:
    """Sizes for every dynamic dimension of the model's inputs, one list entry a check."""
    declared = declared_sizes(project)
    names = [d for one in exported.onnx.inputs for d in one.dims if isinstance(d, str)]
    return {
        name: list(exported.sizes.get(name, ())) or declared.get(name) or [1, 2]
        for name in dict.fromkeys(names)
    }
