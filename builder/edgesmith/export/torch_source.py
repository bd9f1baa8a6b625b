"""PyTorch to ONNX: every exporter is tried, and the best of those that agree is taken."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgesmith.errors import ModelError
from edgesmith.export.arbitration import choose
from edgesmith.export.candidates import (
    Candidate,
    Candidates,
    declared_inputs,
    try_candidates,
)
from edgesmith.export.divergence import EagerValue, failing_probe, locate, read_eager
from edgesmith.export.opsets import opset_of_project
from edgesmith.files import full_disk
from edgesmith.model import onnx_file
from edgesmith.model.user_code import Interpreter, call_worker
from edgesmith.project.project import Project
from edgesmith.simplify.clean_up import clean_up_all
from edgesmith.stages import Context, Made, scratch_folder
from edgesmith.values import ExportAttempt, ExportedModel

MODEL_FILE = "model.onnx"
_DECLARED_ENDS = ("lowest values", "highest values")


def export_torch(
    project: Project, interpreter: Interpreter, folder: Path, *, context: Context
) -> Made[ExportedModel]:
    """Exports, checks and cleans; raises ModelError when no exporter's model agrees."""
    with scratch_folder(project.build_folder) as name:
        scratch = Path(name)
        candidates = try_candidates(project, interpreter, scratch, context)
        told = candidates.worker.result
        for missing in told["dropped"]:
            context.events.warning(f"export: the output '{missing}' is None and is left out")
        for one in told["left_out"]:
            if one["inputs"] in _DECLARED_ENDS and one["reason"].startswith("PyTorch fails"):
                context.events.warning(
                    f"export: at the {one['inputs']} of the declared ranges {one['reason']}"
                )
        if not candidates.agreeing:
            raise _none_agrees(
                project, _located(project, interpreter, candidates, scratch, context)
            )

        def clean_up(files: Sequence[tuple[Path, Path]]) -> list[bool]:
            found = clean_up_all(project, files, sizes=told["sizes"], context=context)
            return [not one.reason for one in found]

        best, tried = choose(candidates.tried, clean_up, scratch / told["probes"][0]["file"])
        if best.fixed:
            context.events.warning(_fixed_warning(best))
        shutil.copyfile(best.path, folder / MODEL_FILE)
    value = ExportedModel(
        onnx=onnx_file.describe_file(folder / MODEL_FILE),
        source_kind="torch",
        exporter=best.exporter,
        attempts=_attempts(tried, best),
        parity=best.parity,
        tools=dict(candidates.worker.tools),
        weights_sha256=str(told["weights_sha256"]),
        sizes={name: tuple(sizes) for name, sizes in told["sizes"].items()},
        left_out={one["inputs"]: one["reason"] for one in told["left_out"]},
    )
    return Made(value=value, dependencies=candidates.worker.dependencies)


def _attempts(tried: Sequence[Candidate], best: Candidate) -> tuple[ExportAttempt, ...]:
    return tuple(
        ExportAttempt(
            exporter=one.exporter,
            mode=one.mode,
            taken=one.mode == best.mode,
            reason=one.reason or _why_not(one, best),
            agrees=not one.reason,
            nodes=one.nodes,
            nodes_after_clean_up=one.nodes_after_clean_up,
            max_abs_error=max((check.max_abs_error for check in one.parity), default=None),
            max_rel_error=max((check.max_rel_error for check in one.parity), default=None),
            seconds=one.seconds,
            latency_ns=one.latency_ns,
            fixed=one.fixed,
        )
        for one in tried
    )


def _why_not(one: Candidate, best: Candidate) -> str:
    """What the taken one has over one that agrees as well."""
    if one.mode == best.mode:
        return ""
    if one.fixed and not best.fixed:
        return f"agrees on what was tried, but takes values for constants: {one.fixed[0]}"
    nodes = [c.nodes_after_clean_up or c.nodes for c in (best, one)]
    if nodes[0] != nodes[1]:
        return (
            f"agrees; {best.exporter} ({best.mode}) leaves {nodes[0]} nodes instead of {nodes[1]}"
        )
    return f"agrees; {best.exporter} ({best.mode}) has as many nodes, and is preferred"


def _fixed_warning(best: Candidate) -> str:
    places = "".join(f"\n    {place}" for place in best.fixed[:4])
    more = f"\n    and {len(best.fixed) - 4} more" if len(best.fixed) > 4 else ""
    return (
        f"export: only {best.exporter} ({best.mode}) agrees, and it took values for constants, so"
        f" inputs that decide otherwise there may get wrong answers:{places}{more}"
    )


def _located(
    project: Project,
    interpreter: Interpreter,
    candidates: Candidates,
    folder: Path,
    context: Context,
) -> list[Candidate]:
    """The candidates, with the first diverging operator in the reasons against those that ran."""
    told = candidates.worker.result
    located = []
    for one in candidates.tried:
        words = ""
        if one.runs:
            probe = failing_probe(one.path, told["probes"], told["outputs"], folder)
            if probe is not None:
                eager = _eager(project, interpreter, probe, folder, context)
                words = locate(one.path, probe, eager, project.folder)
        located.append(replace(one, reason=f"{one.reason}; {words}") if words else one)
    return located


def _eager(
    project: Project, interpreter: Interpreter, probe: Path, folder: Path, context: Context
) -> list[EagerValue]:
    """Every value that PyTorch computes on the probe."""
    output = folder / f"eager-{probe.name}"
    facts = output.with_suffix(".json")
    if not facts.is_file():
        request = {
            "source": project.settings.model.source,
            "declared": declared_inputs(project),
            "probe": str(probe),
            "output": str(output),
        }
        where = f"model.source = {project.settings.model.source!r}"
        done = call_worker(
            project, interpreter, "intermediates", request, where=where, events=context.events
        )
        facts.write_text(json.dumps(done.result["values"]))
    return read_eager(output, json.loads(facts.read_text()))


def _none_agrees(project: Project, tried: Sequence[Candidate]) -> ModelError:
    where = f"model.source = {project.settings.model.source!r}"
    reasons = "\n".join(f"    {c.exporter} ({c.mode}): {c.reason}" for c in tried)
    full = full_disk(reasons, where=where)
    if full is not None:
        raise full
    return ModelError(
        f"no exporter gives a model that agrees with PyTorch\n{reasons}",
        where=where,
        hint=_way_out(project, reasons),
    )


def _way_out(project: Project, reasons: str) -> str:
    newer = re.search(r"(?:added in version|opset version) (\d+), try exporting", reasons)
    if newer and int(newer[1]) > opset_of_project(project):
        return f"set [model] opset = {newer[1]} or newer, or leave it out"
    if "Could not find an implementation" in reasons:
        return (
            "compute in float32: ONNX Runtime has no kernel of that operator for the type that"
            " forward() computes in"
        )
    return (
        "see the reasons above: change that part of forward(), declare the sizes that really"
        " occur, and let nothing in it be random"
    )
