"""Runs a stage, or serves its result from its folder or the cache."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from edgesmith.cache import Cache, Dependency, full_key, list_files
from edgesmith.events import EventStream, StageFinished, StageStarted
from edgesmith.files import (
    MARKER,
    host_file_errors,
    read_marker,
    replacing_folder,
    require_ours_or_absent,
    write_atomic,
    write_marker,
)
from edgesmith.hashing import canonical_json, own_sources_digest, sha256_file, sha256_json
from edgesmith.values import RECORD, from_record, read_record, write_record

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every stage may use besides its value and settings."""

    events: EventStream
    cache: Cache
    offline: bool = False


@dataclass(frozen=True, kw_only=True)
class Made(Generic[T]):
    """A stage's result and the dependencies that only its run could tell."""

    value: T
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[T]):
    """One stage of one project.

    `key_parts` is all that decides the result and is known before the run (JSON types);
    `make` writes the result into the folder it is given; `base` is what dependencies are
    relative to.
    """

    name: str
    folder: Path
    base: Path
    key_parts: dict[str, Any]
    value_type: type[T]
    make: Callable[[Path], Made[T]]
    state: Path
    target: str | None = None

    def static_key(self) -> str:
        return sha256_json([self.name, own_sources_digest(), self.key_parts])


@dataclass(frozen=True, kw_only=True)
class StageResult(Generic[T]):
    """A stage's value, its folder and the key it was made under."""

    value: T
    folder: Path
    key: str
    cached: bool


def run_stage(stage: Stage[T], context: Context) -> StageResult[T]:
    """The stage's result: as it lies in its folder, from the cache, or newly made."""
    started = time.monotonic()
    require_ours_or_absent(stage.folder)
    static_key = stage.static_key()
    known = context.cache.find_key(static_key, base=stage.base)
    cached = known is not None and _is_served(stage, known[0], context)
    if known is not None and cached:
        key = known[0]
    else:
        context.events.emit(StageStarted(stage=stage.name, target=stage.target))
        key = _make(stage, static_key, context)
    context.events.emit(
        StageFinished(
            stage=stage.name,
            target=stage.target,
            status="cached" if cached else "ran",
            seconds=time.monotonic() - started,
            key=key,
            folder=str(stage.folder),
        )
    )
    value = read_record(stage.value_type, stage.folder)
    return StageResult(value=value, folder=stage.folder, key=key, cached=cached)


def peek_stage(stage: Stage[T], context: Context) -> StageResult[T] | None:
    """The result that a run would serve without running, or None: for `--dry-run`.

    Nothing is written, so its folder may not hold the files yet.
    """
    known = context.cache.find_key(stage.static_key(), base=stage.base)
    if known is None:
        return None
    key = known[0]
    if _is_intact(stage, key):
        value = read_record(stage.value_type, stage.folder)
    else:
        record = context.cache.read_text(key, RECORD)
        if record is None:
            return None
        value = from_record(stage.value_type, json.loads(record))
    return StageResult(value=value, folder=stage.folder, key=key, cached=True)


def _is_served(stage: Stage[T], key: str, context: Context) -> bool:
    if _is_intact(stage, key):
        return True
    if context.cache.entry(key) is None:
        return False
    try:
        with replacing_folder(stage.folder) as work:
            if not context.cache.restore(key, work):
                raise _DamagedEntry
            write_marker(work, stage=stage.name, key=key)
    except _DamagedEntry:
        context.events.warning(f"the cache entry of {stage.name} is damaged: made anew")
        return False
    _remember_state(stage, key)
    return True


class _DamagedEntry(Exception):
    """A cached file is missing or no longer has its hash."""


def _make(stage: Stage[T], static_key: str, context: Context) -> str:
    with replacing_folder(stage.folder) as work, host_file_errors(stage.folder):
        made = stage.make(work)
        write_record(work, made.value)
        key = full_key(static_key, made.dependencies)
        write_marker(work, stage=stage.name, key=key)
        context.cache.store(key, work)
    context.cache.record_dependencies(static_key, made.dependencies)
    _remember_state(stage, key)
    return key


def _stat_of(folder: Path, path: str) -> list[int]:
    stat = (folder / path).stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_mode & 0o777]


def _state_file(stage: Stage[T]) -> Path:
    return stage.state / f"{stage.target or 'all'}-{stage.name}.json"


def _remember_state(stage: Stage[T], key: str) -> None:
    """Notes size, time and hash of each file, so that an untouched folder is known by a stat."""
    files = {
        f.path: {"stat": _stat_of(stage.folder, f.path), "sha256": f.sha256}
        for f in list_files(stage.folder)
    }
    write_atomic(_state_file(stage), canonical_json({"key": key, "files": files}))


def _is_intact(stage: Stage[T], key: str) -> bool:
    """Whether the folder holds the result of `key`, no file added, changed or removed."""
    if read_marker(stage.folder).get("key") != key:
        return False
    try:
        state = json.loads(_state_file(stage).read_text())
    except (OSError, ValueError):
        return False
    if state.get("key") != key:
        return False
    present = {
        p.relative_to(stage.folder).as_posix()
        for p in stage.folder.rglob("*")
        if p.is_file() and p.name != MARKER
    }
    if present != set(state["files"]):
        return False
    return all(_same(stage.folder, path, facts) for path, facts in state["files"].items())


def _same(folder: Path, path: str, facts: dict[str, Any]) -> bool:
    try:
        if _stat_of(folder, path) == facts["stat"]:
            return True
        return sha256_file(folder / path) == str(facts["sha256"])
    except OSError:
        return False


def scratch_folder(parent: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder for a stage's intermediate files, removed at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".scratch-", dir=parent)
