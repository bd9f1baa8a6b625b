"""An ONNX file as the source: taken in, cleaned, and checked to be unchanged by that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgesmith.cache import observe
from edgesmith.errors import ModelError, UsageError
from edgesmith.export.opsets import max_ir_version, opset_of_project, to_opset
from edgesmith.model import numeric, onnx_file, weight_files
from edgesmith.model.external_data import data_files
from edgesmith.project.project import Project
from edgesmith.stages import Made
from edgesmith.values import ExportAttempt, ExportedModel, OnnxFile, ParityCheck

if TYPE_CHECKING:
    import onnx

# FLOAT, FLOAT16 and DOUBLE.
_FLOATS = (1, 10, 11)


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
    _refuse_unsound(model, shown_as)
    if not large:
        _check_outputs(model, shown_as)
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


def _refuse_unsound(model: onnx.ModelProto, shown_as: str) -> None:
    """What nothing that follows could prove right: random operators, NaN, an output twice."""
    import numpy as np
    from onnx import numpy_helper

    drawn = onnx_file.random_node(model)
    if drawn is not None:
        raise ModelError(
            f"the model is random: the operator {drawn.op_type}"
            f" ('{drawn.name or drawn.output[0]}') draws other numbers in each run",
            where=shown_as,
            hint="export it in eval mode; make what is drawn an input of the model",
        )
    names = [one.name for one in model.graph.output]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ModelError(
            f"the output '{twice[0]}' is listed twice",
            where=shown_as,
            hint="give each output a name of its own, such as by an Identity",
        )
    for one in model.graph.initializer:
        apart = one.data_type not in _FLOATS or one.external_data
        if not apart and np.isnan(numpy_helper.to_array(one)).any():
            raise ModelError(
                f"the weights hold NaN: {one.name}",
                where=shown_as,
                hint="the training diverged, or the file is damaged: use weights of a good"
                " checkpoint",
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


def _check_outputs(model: onnx.ModelProto, shown_as: str) -> None:
    """Raises ModelError where the file declares other sizes than its operators give."""
    import onnx

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for one in bare.graph.output:
        one.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(bare).graph.output
    for one, found in zip(model.graph.output, inferred, strict=True):
        declared, given = (each.type.tensor_type.shape.dim for each in (one, found))
        if not found.type.tensor_type.HasField("shape"):
            continue
        fits = len(declared) == len(given) and all(
            not (a.HasField("dim_value") and b.HasField("dim_value")) or a.dim_value == b.dim_value
            for a, b in zip(declared, given, strict=True)
        )
        if not fits:
            shapes = [list(onnx_file.tensor_info(each).dims) for each in (one, found)]
            raise ModelError(
                f"the output '{one.name}' is declared as {shapes[0]}, its operators give"
                f" {shapes[1]}",
                where=shown_as,
                hint="correct the output's shape in the file, or remove it: then it is inferred",
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
