"""Exports the user's module with every exporter, and runs it on inputs for the comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .exporters import ExportTask, export, modes_for, size_guards
from .failures import WorkerFailure
from .model_source import TorchSource, load_source
from .probes import chosen_sizes, draw, larger_sizes, probes, size_combinations
from .reference_runs import ReferenceRuns
from .weights import MAX_PROTOBUF_BYTES, weights_bytes, weights_digest, weights_with_nan


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Writes `candidate-MODE.onnx` with a `.json` beside it, and `parity-N.safetensors`, into
    `folder`.

    `skip` names modes that ended an earlier process: what they left is not repeated. The modes of
    `groups` after the first are exported only when asked for by `only`.
    """
    folder = Path(request["folder"])
    source = _sound_source(request)
    weights = weights_digest(source.module)
    sizes = chosen_sizes(source.interface, request["sizes"])
    runner = ReferenceRuns(source, request, folder)
    larger = larger_sizes(source.interface, request["sizes"])
    for probe in probes(source.interface, sizes, larger):
        runner.add(probe)
    runner.check_repeatable()
    groups = modes_for(source, request["exporter"])
    task = _task(source, sizes, runner, request["opset"])
    for mode in request["only"] or groups[0]:
        if mode not in request["skip"]:
            _attempt(mode, task, folder)
    undeclared = set(source.interface.dimensions()) - set(request["sizes"])
    if undeclared and not request["only"]:
        _doubt_dynamo(task, folder, alone=groups[0] == ["export"])
    every = [source.interface.complete(one) for one in size_combinations(sizes)]
    return {
        "inputs": [
            {"name": leaf.name, "dtype": leaf.dtype, "shape": list(leaf.shape)}
            for leaf in source.interface.leaves
        ],
        "outputs": runner.names,
        "dropped": runner.dropped,
        "sizes": {name: [one[name] for one in every] for name in (every[0] if every else {})},
        "probes": runner.told,
        "left_out": runner.left_out,
        "groups": groups,
        "weights_sha256": weights,
    }


def _sound_source(request: Mapping[str, Any]) -> TorchSource:
    """The source; raises WorkerFailure when its weights are too large, or hold NaN."""
    where = f"model.source = {request['source']!r}"
    source = load_source(request["source"], request["declared"])
    size = weights_bytes(source.module)
    if size > MAX_PROTOBUF_BYTES:
        raise WorkerFailure(
            f"the weights have {size / 1e9:.1f} GB, more than the 2 GB that one ONNX file can hold",
            where=where,
            hint="write the ONNX file yourself, by torch.onnx.export(..., dynamo=True,"
            " external_data=True), and name it as the source",
        )
    bad = weights_with_nan(source.module)
    if bad:
        raise WorkerFailure(
            f"the weights hold NaN: {', '.join(bad[:4])}",
            where=where,
            hint="the training diverged, or the file is damaged: use weights of a good checkpoint",
        )
    return source


def _attempt(mode: str, task: ExportTask, folder: Path) -> None:
    """One candidate; `.begun` tells the parent which one ended the process."""
    (folder / f"candidate-{mode}.begun").touch()
    done = export(mode, task, folder / f"candidate-{mode}.onnx")
    (folder / f"candidate-{mode}.json").write_text(json.dumps(done))


def _doubt_dynamo(task: ExportTask, folder: Path, *, alone: bool) -> None:
    """Looks for decisions by sizes that nobody declared, where a trace met a decision."""
    export, trace = (folder / f"candidate-{mode}.json" for mode in ("export", "trace"))
    if not export.is_file():
        return
    done = json.loads(export.read_text())
    traced = json.loads(trace.read_text()) if trace.is_file() else {}
    if done["failed"]:
        return
    if alone or traced.get("fixed"):
        done["fixed"] = size_guards(task)
        export.write_text(json.dumps(done))


def _task(
    source: TorchSource, sizes: Mapping[str, list[int]], runner: ReferenceRuns, opset: int
) -> ExportTask:
    interface = source.interface
    # Sizes of 1 would be taken for constants.
    traced = {name: max([2, *values]) for name, values in sizes.items()}
    for name, (_, high) in interface.ranges.items():
        if high is not None and name in traced:
            traced[name] = min(traced[name], high)
    arrays = draw(interface.leaves, interface.complete(traced), seed=0)
    for index, leaf in enumerate(interface.leaves):
        if leaf.example is not None and list(leaf.example.shape) == list(arrays[index].shape):
            arrays[index] = leaf.example
    return ExportTask(source, arrays, runner.names, runner.is_flat, opset)
