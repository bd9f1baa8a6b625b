"""Takes one model through export, clean-up, INT8 and the harness: a row of the table."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from edgesmith.cache import Cache
from edgesmith.errors import EdgesmithError
from edgesmith.events import EventStream
from edgesmith.export.candidates import count_nodes
from edgesmith.pipeline import Pipeline
from edgesmith.stages import Context
from edgesmith.values import ExportedModel, QuantizedModel
from model_table.definitions import Definition
from model_table.harness import difference
from model_table.project import TARGET, write_project, write_samples

EQUAL = "equal"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of a model; `failure` is empty when all went as it must."""

    name: str
    kind: str
    winner: str = ""
    others: tuple[str, ...] = ()
    sizes: str = ""
    nodes_exported: int | None = None
    nodes_cleaned: int | None = None
    max_rel_error: float | None = None
    int8: str = ""
    harness: str = ""
    failure: str = ""
    seconds: float = 0.0


def run_model(definition: Definition, folder: Path, harness: Path) -> Row:
    """The row of one model, whatever goes wrong with it."""
    started = time.monotonic()
    known: dict[str, Any] = {"name": definition.name, "kind": definition.kind}
    try:
        _run(definition, folder, harness, known)
    except EdgesmithError as error:
        known["failure"] = f"exit code {error.exit_code}: {error}"
    except Exception as error:
        known["failure"] = f"{type(error).__name__}: {error}"
    return Row(**known, seconds=round(time.monotonic() - started, 1))


def _run(definition: Definition, folder: Path, harness: Path, known: dict[str, Any]) -> None:
    """Fills in what is known of the row as it becomes known."""
    project = write_project(definition, folder / "project")
    context = Context(events=EventStream(), cache=Cache(folder / "cache"))
    pipeline = Pipeline(project=project, context=context)
    exported = pipeline.exported().value
    known.update(_of_export(exported))
    simplified = pipeline.simplified()
    cleaned = onnx.load(simplified.folder / simplified.value.onnx.path)
    known["nodes_cleaned"] = count_nodes(cleaned.graph)
    write_samples(definition, exported, project.folder)
    quantized = pipeline.quantized(TARGET)
    int8 = quantized.folder / "int8.onnx"
    known["int8"] = _of_int8(quantized.value, int8)
    samples = quantized.folder / quantized.value.evaluation.path
    differences = [
        f"{model.stem}: {found}"
        for model in (quantized.folder / "fp32.onnx", int8)
        if (found := difference(harness, model, samples, folder))
    ]
    known["harness"] = "; ".join(differences) or EQUAL
    if differences:
        known["failure"] = known["harness"]


def _of_export(exported: ExportedModel) -> dict[str, Any]:
    taken = next((one for one in exported.attempts if one.taken), None)
    winner = f"{taken.exporter}, {taken.mode}" if taken else exported.exporter
    return {
        "winner": winner.rstrip(", "),
        "others": tuple(
            f"{one.mode or one.exporter}: {one.reason}"
            for one in exported.attempts
            if not one.taken
        ),
        "sizes": ", ".join(
            f"{name} {'/'.join(map(str, dict.fromkeys(values)))}"
            for name, values in exported.sizes.items()
        ),
        "nodes_exported": taken.nodes if taken and taken.nodes else exported.onnx.nodes,
        "max_rel_error": max((one.max_rel_error for one in exported.parity), default=None),
    }


def _of_int8(quantized: QuantizedModel, path: Path) -> str:
    """SQNR against the source, or why there is none."""
    variant = next(one for one in quantized.variants if one.name == "int8")
    operators = {node.op_type for node in onnx.load(path).graph.node}
    if "DequantizeLinear" not in operators:
        return "nothing to quantize"
    return f"{variant.metrics[0].value:.1f} dB"


def row_from_json(text: str) -> Row:
    """The row that to_json() wrote."""
    found = json.loads(text)
    return Row(**{**found, "others": tuple(found["others"])})
