"""An ONNX file as the source: taken in, cleaned, and checked to be unchanged by that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgesmith.cache import observe
from edgesmith.errors import ModelError, UsageError
from edgesmith.export.candidates import every_node
from edgesmith.export.opsets import max_ir_version, opset_of_project, to_opset
from edgesmith.model import numeric, onnx_file, weight_files
from edgesmith.model.external_data import data_files
from edgesmith.project.project import Project
from edgesmith.stages import Made
from edgesmith.values import ExportAttempt, ExportedModel, OnnxFile, ParityCheck

if TYPE_CHECKING:
    import onnx

_RANDOM_OPERATORS = {
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
}  # fmt: skip


def take_onnx(project: Project, folder: Path) -> Made[ExportedModel]:
    """Copies the source, as one file where that can hold it; raises ModelError or UsageError."""
    source = project.folder / project.settings.model.source
    shown = f"model.source = {project.settings.model.source!r}"
    path = folder / "model.onnx"
    model, outside = _copy(project, source, path, shown_as=shown)
    described = onnx_file.describe(model, path)
    _check_declared(project, described)
    parity = _parity(source, path, described)
    bad = numeric.worst(parity)
    if not bad.passed:
        raise ModelError(
            f"the copy at opset {described.opset} differs from the source by"
            f" {bad.max_abs_error:.3g} on {bad.inputs}",
            where=shown,
            hint="leave [model] opset out, so that the model stays as it is; if it already is, this"
            " should not happen: please report it with the model",
        )
    value = ExportedModel(
        onnx=described,
        source_kind="onnx",
        exporter="none",
        attempts=(ExportAttempt(exporter="none", taken=True, reason=""),),
        parity=parity,
        tools={},
    )
    read = [(source, "file"), *((path, "file") for path in outside)]
    return Made(value=value, dependencies=observe(read, base=project.folder))


def _copy(
    project: Project, source: Path, path: Path, *, shown_as: str
) -> tuple[onnx.ModelProto, list[Path]]:
    """Writes the source without exporters' notes, at the opset that is asked for, to `path`; (what
    it wrote, the files of weights that it read).

    The weights of a model over 2 GB are written beside it, without being held in memory.
    """
    model = onnx_file.load(source, shown_as=shown_as, data=False)
    outside = data_files(model, source, shown_as=shown_as)
    large = weight_files.is_too_large(model, shown_as=shown_as)
    if outside and not large:
        model = onnx_file.load(source, shown_as=shown_as)
    onnx_file.strip_traces(model)
    _refuse_random(model, shown_as)
    if project.settings.model.opset is not None:
        model = _at_opset(project, model, large=large)
    if large:
        weight_files.save_with_data(model, source, path, shown_as=shown_as)
    else:
        onnx_file.save(model, path)
    return model, [source.parent / name for name in sorted(outside)]


def _at_opset(project: Project, model: onnx.ModelProto, *, large: bool) -> onnx.ModelProto:
    asked = opset_of_project(project)
    if onnx_file.opset_of(model) == asked:
        return model
    if large:
        raise ModelError(
            f"a model of more than 2 GB stays at its opset {onnx_file.opset_of(model)}: ONNX's"
            " converter takes no more",
            where=f"{project.file}, model.opset = {asked}",
            hint="leave opset out, or export the model at that opset",
        )
    return to_opset(model, asked, ir_version=max_ir_version(project))


def _refuse_random(model: onnx.ModelProto, shown_as: str) -> None:
    """Nothing that follows could compare two runs of a random model."""
    for node in every_node(model.graph):
        if node.op_type in _RANDOM_OPERATORS and node.domain in ("", "ai.onnx"):
            raise ModelError(
                f"the model is random: the operator {node.op_type}"
                f" ('{node.name or node.output[0]}') draws other numbers in each run",
                where=shown_as,
                hint="export it in eval mode; make what is drawn an input of the model",
            )


def _check_declared(project: Project, described: OnnxFile) -> None:
    """[model.inputs], where given, must say what the file says."""
    found = {one.name: one for one in described.inputs}
    for name, declared in project.settings.model.inputs.items():
        where = f"{project.file}, model.inputs.{name}"
        if name not in found:
            raise UsageError(
                f"the ONNX model has no input '{name}'; it has: {', '.join(found)}",
                where=where,
                hint="use the model's names, or leave [model.inputs] out",
            )
        dims = found[name].dims
        shape = dims if declared.shape is None else declared.shape
        dtype = declared.dtype or found[name].dtype
        fits = len(dims) == len(shape) and all(
            isinstance(dim, str) or dim == asked for dim, asked in zip(dims, shape, strict=True)
        )
        if not fits or found[name].dtype != dtype:
            raise UsageError(
                f"declared {dtype} {list(shape)}, the model has {found[name].dtype} {list(dims)}",
                where=where,
                hint="correct the shape, or leave [model.inputs] out",
            )


def _parity(source: Path, path: Path, described: OnnxFile) -> tuple[ParityCheck, ...]:
    dynamic = {d for one in described.inputs for d in one.dims if isinstance(d, str)}
    sizes = [dict.fromkeys(sorted(dynamic), size) for size in ((1, 2) if dynamic else (1,))]
    feeds = [
        numeric.random_feeds(described.inputs, one, seed=seed) for seed, one in enumerate(sizes, 1)
    ]
    wanted = numeric.outputs_of(source, feeds, shown_as="the source model")
    found = numeric.outputs_of(path, feeds, shown_as="the cleaned model")
    return tuple(
        numeric.compare(before, after, against="the source file", inputs="random draw 1", sizes=one)
        for one, before, after in zip(sizes, wanted, found, strict=True)
    )
