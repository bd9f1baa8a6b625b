"""The simplify stage: fewer nodes, the same outputs; on any doubt the model stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgesmith.errors import ModelError
from edgesmith.export.torch_source import declared_sizes
from edgesmith.model import numeric, onnx_file
from edgesmith.model.user_code import call_worker, own_interpreter
from edgesmith.project.project import Project
from edgesmith.stages import Context, Made, Stage, StageResult, scratch_folder
from edgesmith.values import ExportedModel, ParityCheck, SimplifiedModel

# onnxsim checks nothing unless told how often.
CHECK_RUNS = 3


def simplify_stage(
    project: Project, exported: StageResult[ExportedModel], context: Context
) -> Stage[SimplifiedModel]:
    """The stage that makes `build/<model>/simplify/model.onnx`."""
    sizes = _sizes(project, exported.value)

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


def _sizes(project: Project, exported: ExportedModel) -> dict[str, list[int]]:
    """Sizes for every dynamic dimension of the model's inputs."""
    declared = declared_sizes(project)
    names = [d for one in exported.onnx.inputs for d in one.dims if isinstance(d, str)]
    return {name: declared.get(name, [1, 2]) for name in dict.fromkeys(names)}


def _simplify(
    project: Project,
    before: Path,
    exported: ExportedModel,
    sizes: dict[str, list[int]],
    folder: Path,
    context: Context,
) -> SimplifiedModel:
    path = folder / "model.onnx"
    with scratch_folder(project.build_folder) as name:
        candidate = Path(name) / "model.onnx"
        reason = _run_onnxsim(project, before, candidate, context)
        parity: tuple[ParityCheck, ...] = ()
        if not reason:
            reason, parity = _judge(before, candidate, exported, sizes)
        shutil.copyfile(before if reason else candidate, path)
    if reason:
        context.events.warning(f"simplify: the exported model is kept: {reason}")
    described = onnx_file.describe(onnx_file.load(path), path)
    return SimplifiedModel(
        onnx=described,
        simplified=not reason,
        reason=reason,
        nodes_before=exported.onnx.nodes,
        nodes_after=described.nodes,
        parity=parity,
    )


def _run_onnxsim(project: Project, before: Path, after: Path, context: Context) -> str:
    """Why simplifying failed, or ""; native crashes are told as a reason too."""
    request = {"model": str(before), "output": str(after), "check_n": CHECK_RUNS}
    try:
        done = call_worker(
            project,
            own_interpreter(),
            "simplify",
            request,
            where="onnxsim",
            events=context.events,
        )
    except ModelError as error:
        return error.what
    return str(done.result["failed"])


def _judge(
    before: Path, after: Path, exported: ExportedModel, sizes: dict[str, list[int]]
) -> tuple[str, tuple[ParityCheck, ...]]:
    try:
        model = onnx_file.load(after, shown_as="the simplified model")
        onnx_file.strip_traces(model)
        onnx_file.save(model, after)
        parity = compare_models(before, after, exported, sizes)
    except ModelError as error:
        return error.what, ()
    interface = onnx_file.describe(model, after)
    if (interface.inputs, interface.outputs) != (exported.onnx.inputs, exported.onnx.outputs):
        return "it changed the inputs or outputs", parity
    bad = numeric.worst(parity)
    if bad.passed:
        return "", parity
    return f"its outputs differ by {bad.max_rel_error:.3g} of the largest output", parity


def compare_models(
    before: Path, after: Path, exported: ExportedModel, sizes: dict[str, list[int]]
) -> tuple[ParityCheck, ...]:
    """Compares two files of one model on random inputs, at each declared size."""
    reference, candidate = numeric.open_session(before), numeric.open_session(after)
    rounds = max((len(values) for values in sizes.values()), default=1)
    checks = []
    for number in range(rounds):
        chosen = {name: values[number % len(values)] for name, values in sizes.items()}
        feeds = numeric.random_feeds(exported.onnx.inputs, chosen, seed=number)
        expected = numeric.run_session(reference, feeds, shown_as="the exported model")
        found = numeric.run_session(candidate, feeds, shown_as="the simplified model")
        checks.append(
            numeric.compare(
                expected,
                found,
                against="the exported model",
                inputs=f"random draw {number + 1}",
                sizes=chosen,
            )
        )
    return tuple(checks)
