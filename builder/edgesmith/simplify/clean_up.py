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
) -> CleanUp:
    """Writes `before`, cleaned up, to `after`; what can't be cleaned is copied, with a reason.

    `sizes` gives the sizes at which dynamic dimensions are checked. `passes` is where the tuple
    of passes is, as MODULE:NAME. Dropped passes are told as warnings.
    """
    (found,) = clean_up_all(project, [(before, after)], sizes=sizes, context=context, passes=passes)
    _warn(found, context)
    return found


def clean_up_all(
    project: Project,
    files: Sequence[tuple[Path, Path]],
    *,
    sizes: Mapping[str, Sequence[int]],
    context: Context,
    passes: str = PASSES,
) -> list[CleanUp]:
    """The same of several (before, after), without warnings.

    A file that was cleaned up before comes from the cache; one process cleans up the others.
    """
    with scratch_folder(project.build_folder) as name:
        folders = [Path(name) / str(index) for index in range(len(files))]
        keys = [_key(before, sizes, passes) for before, _ in files]
        missing: list[_Job] = []
        for (before, _), key, folder in zip(files, keys, folders, strict=True):
            folder.mkdir()
            if not context.cache.restore(key, folder):
                missing.append(_Job(key=key, before=before, folder=folder))
        _make(project, missing, Path(name), sizes, context, passes)
        results = []
        for (before, after), folder in zip(files, folders, strict=True):
            found = from_record(CleanUp, json.loads((folder / _RECORD).read_text()))
            shutil.copyfile(folder / _MODEL if found.changed else before, after)
            results.append(found)
    return results


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A file that is to be cleaned up into a folder."""

    key: str
    before: Path
    folder: Path


def _key(before: Path, sizes: Mapping[str, Sequence[int]], passes: str) -> str:
    return sha256_json([
        "clean-up", own_sources_digest(), sha256_file(before), passes,
        {name: list(values) for name, values in sizes.items()}, dict(own_interpreter().versions),
    ])  # fmt: skip


def _make(
    project: Project,
    jobs: Sequence[_Job],
    scratch: Path,
    sizes: Mapping[str, Sequence[int]],
    context: Context,
    passes: str,
) -> None:
    if not jobs:
        return
    work = scratch / "work"
    work.mkdir()
    for job, made in zip(jobs, _run(project, jobs, work, sizes, context, passes), strict=True):
        (job.folder / _RECORD).write_text(json.dumps(to_record(made)))
        # What failed in company, such as for want of memory, may succeed alone.
        if len(jobs) == 1 or not (made.reason or any(one.reason for one in made.passes)):
            context.cache.store(job.key, job.folder)


def _warn(found: CleanUp, context: Context) -> None:
    for one in found.passes:
        if one.reason:
            context.events.warning(f"simplify: the pass {one.name} was dropped: {one.reason}")
    if found.reason:
        context.events.warning(f"simplify: the model is kept as it is: {found.reason}")


def _run(
    project: Project,
    jobs: Sequence[_Job],
    work: Path,
    sizes: Mapping[str, Sequence[int]],
    context: Context,
    passes: str,
) -> list[CleanUp]:
    """Runs all passes on all files in one worker, and anew without the one in which it died."""
    dropped: list[dict[str, str]] = [{} for _ in jobs]
    given_up: dict[int, CleanUp] = {}
    progress = work / "progress"
    while True:
        left = [index for index in range(len(jobs)) if index not in given_up]
        progress.write_text("")
        request = {
            "models": [
                {
                    "model": str(jobs[index].before),
                    "output": str(jobs[index].folder / _MODEL),
                    "dropped": dropped[index],
                }
                for index in left
            ],
            "sizes": {name: list(values) for name, values in sizes.items()},
            "passes": passes,
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
            place, _, guilty = progress.read_text().partition(" ")
            index = left[int(place or 0)]
            if not guilty or guilty in dropped[index]:
                given_up[index] = CleanUp(passes=(), reason=error.what)
                if len(given_up) == len(jobs):
                    return [given_up[index] for index in range(len(jobs))]
            else:
                dropped[index][guilty] = error.what.partition("\n")[0]
            continue
        made = {index: _judged(one) for index, one in zip(left, done.result["models"], strict=True)}
        return [{**given_up, **made}[index] for index in range(len(jobs))]


def _judged(result: Mapping[str, Any]) -> CleanUp:
    """Small errors of several passes may add up: the whole is judged too."""
    passes = tuple(from_record(PassRecord, one) for one in result["passes"])
    parity = tuple(from_record(ParityCheck, one) for one in result["parity"])
    reason = str(result["reason"])
    if parity and not (bad := numeric.worst(parity)).passed:
        reason = f"all passes together change its outputs by {bad.max_rel_error:.3g} of the largest"
    return CleanUp(passes=passes, parity=parity, reason=reason)
