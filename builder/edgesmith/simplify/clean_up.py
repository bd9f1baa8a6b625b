"""Cleans an ONNX file up by named passes, each proven to keep the model's outputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.errors import ModelError
from edgesmith.hashing import own_sources_digest, sha256_file, sha256_json
from edgesmith.model import numeric
from edgesmith.model.user_code import call_worker, own_interpreter
from edgesmith.project.project import Project
from edgesmith.stages import Context, scratch_folder
from edgesmith.values import ParityCheck, PassRecord, from_record, to_record

PASSES = "edgesmith.simplify.passes:PASSES"
_MODEL, _RECORD = "model.onnx", "clean-up.json"


@dataclass(frozen=True, kw_only=True)
class CleanUp:
    """What became of each pass.

    `reason` says why the model was left as it is; `parity` compares the result with it.
    """

    passes: tuple[PassRecord, ...]
    parity: tuple[ParityCheck, ...] = ()
    reason: str = ""

    @property
    def changed(self) -> bool:
        return not self.reason and any(one.taken for one in self.passes)


def clean_up(
    project: Project,
    before: Path,
    after: Path,
    *,
    sizes: Mapping[str, Sequence[int]],
    context: Context,
    passes: str = PASSES,
    quiet: bool = False,
) -> CleanUp:
    """Writes `before`, cleaned up, to `after`; what can't be cleaned is copied, with a reason.

    `sizes` gives the sizes at which dynamic dimensions are checked. `passes` is where the tuple
    of passes is, as MODULE:NAME. A file that was cleaned up before comes from the cache. Unless
    `quiet`, as for a candidate that may not be taken, dropped passes are told as warnings.
    """
    key = sha256_json([
        "clean-up", own_sources_digest(), sha256_file(before), passes,
        {name: list(values) for name, values in sizes.items()}, dict(own_interpreter().versions),
    ])  # fmt: skip
    with scratch_folder(project.build_folder) as name:
        folder = Path(name) / "result"
        folder.mkdir()
        if not context.cache.restore(key, folder):
            work = Path(name) / "work"
            work.mkdir()
            made = _run(project, before, folder / _MODEL, work, sizes, context, passes)
            (folder / _RECORD).write_text(json.dumps(to_record(made)))
            context.cache.store(key, folder)
        found = from_record(CleanUp, json.loads((folder / _RECORD).read_text()))
        shutil.copyfile(folder / _MODEL if found.changed else before, after)
    if not quiet:
        _warn(found, context)
    return found


def _warn(found: CleanUp, context: Context) -> None:
    for one in found.passes:
        if one.reason:
            context.events.warning(f"simplify: the pass {one.name} was dropped: {one.reason}")
    if found.reason:
        context.events.warning(f"simplify: the model is kept as it is: {found.reason}")


def _run(
    project: Project,
    before: Path,
    after: Path,
    work: Path,
    sizes: Mapping[str, Sequence[int]],
    context: Context,
    passes: str,
) -> CleanUp:
    """Runs all passes in one worker, and anew without the one in which it died."""
    dropped: dict[str, str] = {}
    progress = work / "progress"
    while True:
        progress.write_text("")
        request = {
            "model": str(before),
            "output": str(after),
            "sizes": {name: list(values) for name, values in sizes.items()},
            "passes": passes,
            "dropped": dropped,
            "progress": str(progress),
        }
        try:
            done = call_worker(
                project,
                own_interpreter(),
                "simplify",
                request,
                where="the clean-up",
                events=context.events,
            )
        except ModelError as error:
            guilty = progress.read_text()
            if not guilty or guilty in dropped:
                return CleanUp(passes=(), reason=error.what)
            dropped[guilty] = error.what.partition("\n")[0]
            continue
        return _judged(done.result)


def _judged(result: Mapping[str, Any]) -> CleanUp:
    """Small errors of several passes may add up: the whole is judged too."""
    passes = tuple(from_record(PassRecord, one) for one in result["passes"])
    parity = tuple(from_record(ParityCheck, one) for one in result["parity"])
    reason = str(result["reason"])
    if parity and not (bad := numeric.worst(parity)).passed:
        reason = f"all passes together change its outputs by {bad.max_rel_error:.3g} of the largest"
    return CleanUp(passes=passes, parity=parity, reason=reason)
