"""A model's project: its source, its project file and random samples."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from edgesmith.project.load import load_project
from edgesmith.project.project import Project
from edgesmith.values import ExportedModel, TensorInfo
from model_table.definitions import Definition, Input

SOURCES = Path(__file__).parent / "sources"
SAVED = {".pt": "net.pt", ".pt2": "net.pt2", ".onnx": "net.onnx"}
SAMPLES = {"calibration": 4, "evaluation": 2}
TARGET = "host"
PROJECT = """schema = 1
[model]
name = "one"
source = {source}
exporter = {exporter}
{inputs}
[data]
calibration = "calibration"
evaluation = "evaluation"
metrics = ["sqnr_db"]
[quantize]
calibration = "minmax"
# The table tells what INT8 loses, whatever it is.
accuracy_budget = 1000.0
[targets.host]
platform = "linux-x86_64"
"""


def write_project(definition: Definition, folder: Path) -> Project:
    """The project in `folder`, without samples: their names come of the export."""
    folder.mkdir(parents=True)
    module, _, function = definition.source.partition(":")
    source = SAVED.get(definition.kind, "")
    if source:
        _save(definition, folder / source)
    else:
        shutil.copyfile(SOURCES / f"{module}.py", folder / f"{module}.py")
        source = f"{module}.py:{function}"
    file = folder / "edgesmith.toml"
    tables = "\n".join(_table(one) for one in definition.inputs)
    file.write_text(
        PROJECT.format(
            source=json.dumps(source), exporter=json.dumps(definition.exporter), inputs=tables
        )
    )
    return load_project(file)


def _save(definition: Definition, path: Path) -> None:
    module, _, function = definition.source.partition(":")
    make: Any = getattr(importlib.import_module(f"model_table.sources.{module}"), function)
    if definition.kind == ".onnx":
        make(path)
        return
    import torch

    save: Any = torch.jit.save if definition.kind == ".pt" else torch.export.save
    save(make(), str(path))


def _table(one: Input) -> str:
    lines = [f"[model.inputs.{one.name}]"]
    if one.shape is not None:
        lines.append(f"shape = {json.dumps(list(one.shape))}")
    if one.dtype:
        lines.append(f"dtype = {json.dumps(one.dtype)}")
    if one.range is not None:
        lines.append(f"range = {json.dumps(list(one.range))}")
    if one.sizes:
        sizes = ", ".join(f"{name} = {list(values)}" for name, values in one.sizes.items())
        lines.append(f"sizes = {{ {sizes} }}")
    return "\n".join([*lines, ""])


def write_samples(definition: Definition, exported: ExportedModel, folder: Path) -> None:
    """Random samples, with the last of the checked sizes of each dynamic dimension."""
    generator = np.random.default_rng(5)
    sizes = {name: values[-1] for name, values in exported.sizes.items()}
    ranges = {one.name: one.range for one in definition.inputs}
    for kind, count in SAMPLES.items():
        (folder / kind).mkdir()
        for index in range(count):
            arrays = {
                one.name: _drawn(one, ranges.get(one.name), sizes, generator)
                for one in exported.onnx.inputs
            }
            np.savez(folder / kind / f"{index}.npz", **arrays)


def _drawn(
    one: TensorInfo,
    range_: tuple[float, float] | None,
    sizes: dict[str, int],
    generator: np.random.Generator,
) -> Any:
    shape = [sizes.get(dim, 2) if isinstance(dim, str) else dim for dim in one.dims]
    dtype = np.dtype(one.dtype)
    if dtype.kind == "f":
        return np.asarray(generator.standard_normal(shape)).astype(dtype)
    low, high = range_ or (0, 1)
    return np.asarray(generator.integers(int(low), int(high), shape, endpoint=True)).astype(dtype)
