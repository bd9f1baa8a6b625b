"""An ONNX file as the source: taken in, cleaned, and checked to be unchanged by that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgesmith.cache import observe
from edgesmith.errors import ModelError, UsageError
from edgesmith.model import numeric, onnx_file
from edgesmith.project.project import Project
from edgesmith.stages import Made
from edgesmith.values import ExportAttempt, ExportedModel, OnnxFile, ParityCheck


def take_onnx(project: Project, folder: Path) -> Made[ExportedModel]:
    """Copies the source as one file without external data; raises ModelError or UsageError."""
    source = project.folder / project.settings.model.source
    shown = f"model.source = {project.settings.model.source!r}"
    model = onnx_file.load(source, shown_as=shown)
    outside = _external_files(source)
    onnx_file.strip_traces(model)
    path = folder / "model.onnx"
    onnx_file.save(model, path)
    described = onnx_file.describe(model, path)
    _check_declared(project, described)
    parity = _parity(source, path, described)
    bad = numeric.worst(parity)
    if not bad.passed:
        raise ModelError(
            f"the cleaned copy differs from the source by {bad.max_abs_error:.3g}",
            where=shown,
            hint="this should not happen: please report it with the model",
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


def _external_files(source: Path) -> list[Path]:
    import onnx

    model = onnx.load(source, load_external_data=False)
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [source.parent / name for name in sorted(names)]


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
    before, after = numeric.open_session(source), numeric.open_session(path)
    checks = []
    for size in (1, 2) if dynamic else (1,):
        sizes: dict[str, Any] = dict.fromkeys(sorted(dynamic), size)
        feeds = numeric.random_feeds(described.inputs, sizes, seed=size)
        reference = numeric.run_session(before, feeds, shown_as="the source model")
        found = numeric.run_session(after, feeds, shown_as="the cleaned model")
        checks.append(
            numeric.compare(
                reference, found, against="the source file", inputs="random draw 1", sizes=sizes
            )
        )
    return tuple(checks)
