"""The simplify stage: fewer nodes, the same outputs; what a doubtful pass did is left out."""

from __future__ import annotations

from pathlib import Path

from edgesmith.export.stage import checked_sizes
from edgesmith.model import onnx_file
from edgesmith.model.user_code import own_interpreter
from edgesmith.model.weight_files import copy_model
from edgesmith.project.project import Project
from edgesmith.simplify.clean_up import CleanUp, clean_up
from edgesmith.stages import Context, Made, Stage, StageResult
from edgesmith.values import ExportedModel, SimplifiedModel

_TOO_LARGE = (
    "its weights are more than the 2 GB that the passes can hold; ONNX Runtime still fuses its"
    " operators when it loads the model"
)


def simplify_stage(
    project: Project, exported: StageResult[ExportedModel], context: Context
) -> Stage[SimplifiedModel]:
    """The stage that makes `build/<model>/simplify/model.onnx`."""
    sizes = checked_sizes(project, exported.value)

    def make(folder: Path) -> Made[SimplifiedModel]:
        before = exported.folder / exported.value.onnx.path
        return Made(value=_simplify(project, before, exported.value, sizes, folder, context))

    return Stage(
        name="simplify",
        folder=project.stage_folder("simplify"),
        base=project.folder,
        key_parts={
            "model": exported.value.onnx.sha256,
            "sizes": sizes,
            "tools": dict(own_interpreter().versions),
        },
        value_type=SimplifiedModel,
        make=make,
        state=project.state_folder,
    )


def _simplify(
    project: Project,
    before: Path,
    exported: ExportedModel,
    sizes: dict[str, list[int]],
    folder: Path,
    context: Context,
) -> SimplifiedModel:
    path = folder / "model.onnx"
    if exported.onnx.data_files:
        copy_model(before.parent, exported.onnx, path)
        cleaned = CleanUp(passes=(), reason=_TOO_LARGE)
        context.events.info(f"simplify: the model is kept as it is: {_TOO_LARGE}")
    else:
        cleaned = clean_up(project, before, path, sizes=sizes, context=context)
    described = onnx_file.describe_file(path)
    return SimplifiedModel(
        onnx=described,
        simplified=not cleaned.reason,
        reason=cleaned.reason,
        nodes_before=exported.onnx.nodes,
        nodes_after=described.nodes,
        parity=cleaned.parity,
        passes=cleaned.passes,
    )
