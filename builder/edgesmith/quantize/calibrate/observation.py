"""The observe stage: one pass over the calibration data, for every method and every target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesmith.data.samples import INPUTS, calibration_samples
from edgesmith.errors import ModelError
from edgesmith.events import EventStream, Progress
from edgesmith.hashing import sha256_file
from edgesmith.model import numeric, onnx_file
from edgesmith.model.user_code import own_interpreter
from edgesmith.project.project import Project
from edgesmith.quantize.calibrate.distribution import Counter, Distribution
from edgesmith.quantize.calibrate.watched import PHASE, WatchedModel, told_by, watch
from edgesmith.quantize.library import operators_to_quantize
from edgesmith.quantize.prepare import prepare
from edgesmith.stages import Context, Made, Stage, StageResult
from edgesmith.values import SampleSet, SimplifiedModel

OBSERVED_FILE = "observed.safetensors"
PREPARED_FILE = "prepared.onnx"
# A stride is walked through by steps that share no factor with it.
_PHASE_STEP = 7919
_FEW = 8
_HINT = (
    "see that sample: the model is computed with it as it is; leave out what the model is not"
    " made for"
)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """`prepared` is the simplified model with its shapes inferred, to which `path` belongs."""

    path: str
    sha256: str
    prepared: str
    samples: int
    tensors: int


def observe_stage(
    project: Project,
    simplified: StageResult[SimplifiedModel],
    calibration: StageResult[SampleSet],
    context: Context,
) -> Stage[Observed]:
    """The stage that makes `build/<model>/observe`; no target and no method decides anything."""
    model = simplified.folder / simplified.value.onnx.path
    samples = calibration.folder / calibration.value.path

    def make(folder: Path) -> Made[Observed]:
        prepare(model, folder / PREPARED_FILE)
        if calibration.value.count < _FEW:
            context.events.warning(
                f"observe: ranges from {calibration.value.count} calibration samples hold for"
                " little else: a hundred are usual"
            )
        found = observe(folder / PREPARED_FILE, samples, events=context.events)
        save(found, folder / OBSERVED_FILE)
        value = Observed(
            path=OBSERVED_FILE,
            sha256=sha256_file(folder / OBSERVED_FILE),
            prepared=PREPARED_FILE,
            samples=calibration.value.count,
            tensors=len(found),
        )
        return Made(value=value)

    return Stage(
        name="observe",
        folder=project.stage_folder("observe"),
        base=project.folder,
        key_parts={
            "model": simplified.value.onnx.sha256,
            "calibration": calibration.value.sha256,
            "tools": dict(own_interpreter().versions),
        },
        value_type=Observed,
        make=make,
        state=project.state_folder,
    )


def observe(
    prepared: Path, samples: Path, *, events: EventStream, threads: int | None = None
) -> dict[str, Distribution]:
    """Runs all samples once; what each float tensor held, by name.

    `threads` are ONNX Runtime's, all of this machine's by default. Raises ModelError for a sample
    that the model can't be run with, or that makes a tensor NaN.
    """
    source = calibration_samples(samples)
    shapes = {name: array.shape for name, array in source.group(INPUTS, 0).items()}
    watched = watch(onnx_file.load(prepared), operators_to_quantize(), shapes)
    session = numeric.open_session(
        watched.model.SerializeToString(deterministic=True), threads=threads or 0
    )
    counters = [Counter() for _ in watched.tensors]
    wanted = [name for index in range(len(counters)) for name in told_by(index)]
    taken = {one.name for one in session.get_inputs()}
    for index in range(source.count):
        feeds = {n: a for n, a in source.group(INPUTS, index).items() if n in taken}
        feeds[PHASE] = np.array([index * _PHASE_STEP], np.int64)
        told = numeric.run_session(
            session, feeds, shown_as=f"calibration sample {index}", names=wanted
        )
        _count(watched, counters, list(told.values()), index)
        events.emit(Progress(stage="observe", done=index + 1, total=source.count, unit="samples"))
    found = dict(zip(watched.tensors, (one.distribution() for one in counters), strict=True))
    _require_numbers(watched, counters, "a calibration sample")
    found |= {name: found[other] for name, other in watched.same.items()}
    # What never held a value, such as an empty cache, is of no range and none is asked for.
    return {name: one for name, one in found.items() if one.lowest <= one.highest}


def _count(watched: WatchedModel, counters: list[Counter], told: list[Any], index: int) -> None:
    for number, counter in enumerate(counters):
        lowest, highest, sample = told[3 * number : 3 * number + 3]
        if sample.size:
            counter.add(float(lowest), float(highest), sample)
    _require_numbers(watched, counters, f"calibration sample {index}")


def _require_numbers(watched: WatchedModel, counters: list[Counter], shown: str) -> None:
    bad = [name for name, one in zip(watched.tensors, counters, strict=True) if one.has_nan]
    if bad:
        raise ModelError(
            f"{shown} makes the tensor '{bad[0]}' NaN", where="data.calibration", hint=_HINT
        )


def save(found: Mapping[str, Distribution], path: Path) -> None:
    """Writes what was observed; equal contents give equal bytes."""
    from safetensors.numpy import save_file

    counted = list(found.values())
    ends = [0, *np.cumsum([one.codes.size for one in counted]).tolist()]
    save_file(
        {
            "lowest": np.array([one.lowest for one in counted], np.float32),
            "highest": np.array([one.highest for one in counted], np.float32),
            "ends": np.array(ends, np.int64),
            "codes": np.concatenate([one.codes for one in counted] or [np.empty(0, np.uint16)]),
            "counts": np.concatenate([one.counts for one in counted] or [np.empty(0, np.int64)]),
        },
        path,
        {"tensors": json.dumps(list(found))},
    )


def load(path: Path) -> dict[str, Distribution]:
    """What save() wrote."""
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:
        names = json.loads(file.metadata()["tensors"])
        # The file is no mapping, though it has keys.
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    ends = stored["ends"]
    return {
        name: Distribution(
            lowest=float(stored["lowest"][i]),
            highest=float(stored["highest"][i]),
            codes=stored["codes"][ends[i] : ends[i + 1]],
            counts=stored["counts"][ends[i] : ends[i + 1]],
        )
        for i, name in enumerate(names)
    }
