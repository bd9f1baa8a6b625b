"""The content-addressed cache: a key of all that a stage read leads to the files it made.

Files are stored once by their SHA-256 (`blobs/`); an entry (`stages/`) lists a stage folder's
files. What user code reads is only known after it ran, so an entry's key has two halves: what
is known before (settings, versions), and the dependencies recorded by the run (`deps/`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesmith.files import MARKER, copy_file, home_folder, host_file_errors, write_atomic
from edgesmith.hashing import sha256_file, sha256_json

MAX_DEPENDENCY_SETS = 16
# What builds leave in a project's folder; a listing of it must not change by them.
_NOT_LISTED = frozenset({"__pycache__", "build", "reports"})


def cache_root(environment: Mapping[str, str] = os.environ) -> Path:
    """EDGESMITH_CACHE, else `edgesmith` below XDG_CACHE_HOME, else below ~/.cache.

    Raises HostFileError when none of them is there to name one.
    """
    if environment.get("EDGESMITH_CACHE"):
        return Path(environment["EDGESMITH_CACHE"]).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else home_folder() / ".cache") / "edgesmith"


@dataclass(frozen=True, kw_only=True, order=True)
class Dependency:
    """A file or folder listing that user code read; `digest` is empty when it was absent."""

    path: str
    kind: str
    digest: str


def digest_of(path: Path, kind: str) -> str:
    """The present digest of a dependency: of a file's bytes, or of a folder's names."""
    try:
        if kind == "folder":
            return sha256_json(sorted(p.name for p in path.iterdir() if _counts(p.name)))
        return sha256_file(path) if path.is_file() else ""
    except OSError:
        return ""


def _counts(name: str) -> bool:
    """Whether a name in a listed folder is the user's: not ours, a cache or hidden."""
    return name not in _NOT_LISTED and not name.startswith(".")


def observe(paths: Iterable[tuple[Path, str]], *, base: Path) -> tuple[Dependency, ...]:
    """Dependencies with their present digests, paths relative to `base` where below it."""
    found = {
        Dependency(path=_relative(path, base), kind=kind, digest=digest_of(path, kind))
        for path, kind in paths
    }
    return tuple(sorted(found))


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


@dataclass(frozen=True, kw_only=True)
class CachedFile:
    """A file of a stage folder."""

    path: str
    sha256: str
    mode: int


class Cache:
    """Stage results below one root folder; safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find_key(self, static_key: str, *, base: Path) -> tuple[str, tuple[Dependency, ...]] | None:
        """The full key of an earlier run whose recorded dependencies all are as they were."""
        for dependencies in self._dependency_sets(static_key):
            if all(digest_of(base / d.path, d.kind) == d.digest for d in dependencies):
                return full_key(static_key, dependencies), dependencies
        return None

    def record_dependencies(self, static_key: str, dependencies: tuple[Dependency, ...]) -> str:
        """Remembers what a run read; returns the full key."""
        known = [d for d in self._dependency_sets(static_key) if d != dependencies]
        sets = [dependencies, *known][:MAX_DEPENDENCY_SETS]
        data = json.dumps([[asdict(d) for d in one] for one in sets], indent=0).encode()
        write_atomic(self._dependency_file(static_key), data)
        return full_key(static_key, dependencies)

    def _dependency_file(self, static_key: str) -> Path:
        return self.root / "deps" / static_key[:2] / f"{static_key}.json"

    def _dependency_sets(self, static_key: str) -> list[tuple[Dependency, ...]]:
        content = _read_json(self._dependency_file(static_key))
        try:
            return [tuple(Dependency(**d) for d in one) for one in content or []]
        except (TypeError, KeyError):
            return []

    def entry(self, key: str) -> tuple[CachedFile, ...] | None:
        """The files stored under `key`, or None."""
        content = _read_json(self._entry_file(key))
        try:
            return tuple(CachedFile(**f) for f in content["files"]) if content else None
        except (TypeError, KeyError):
            return None

    def read_text(self, key: str, path: str) -> str | None:
        """The text of one file of the entry `key`, or None."""
        for file in self.entry(key) or ():
            if file.path == path:
                try:
                    return self._blob(file.sha256).read_text()
                except OSError:
                    return None
        return None

    def _entry_file(self, key: str) -> Path:
        return self.root / "stages" / key[:2] / f"{key}.json"

    def _blob(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256[:2] / sha256

    def store(self, key: str, folder: Path) -> tuple[CachedFile, ...]:
        """Stores all files of a stage folder under `key`; raises HostFileError."""
        files = list_files(folder)
        with host_file_errors(self.root):
            for file in files:
                self._store_blob(folder / file.path, file.sha256)
        data = json.dumps({"files": [asdict(f) for f in files]}, indent=0).encode()
        write_atomic(self._entry_file(key), data)
        return files

    def _store_blob(self, source: Path, sha256: str) -> None:
        blob = self._blob(sha256)
        if blob.is_file() and sha256_file(blob) == sha256:
            return
        blob.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".blob-", dir=blob.parent)
        os.close(handle)
        try:
            shutil.copyfile(source, name)
            Path(name).replace(blob)
        finally:
            Path(name).unlink(missing_ok=True)

    def restore(self, key: str, folder: Path) -> bool:
        """Fills the empty `folder` from the cache; False when an entry is missing or damaged.

        Every restored file is checked against its hash; a damaged entry is dropped.
        """
        files = self.entry(key)
        if files is None:
            return False
        with host_file_errors(folder):
            for file in files:
                blob = self._blob(file.sha256)
                if not blob.is_file() or sha256_file(blob) != file.sha256:
                    blob.unlink(missing_ok=True)
                    self._entry_file(key).unlink(missing_ok=True)
                    return False
                copy_file(blob, folder / file.path, mode=file.mode)
        return True


def full_key(static_key: str, dependencies: tuple[Dependency, ...]) -> str:
    """The key of a result: what was known before the run, and what the run read."""
    return sha256_json([static_key, [asdict(d) for d in dependencies]])


def list_files(folder: Path) -> tuple[CachedFile, ...]:
    """All regular files of a stage folder but its marker, with hashes and modes."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != MARKER:
            found.append(
                CachedFile(
                    path=path.relative_to(folder).as_posix(),
                    sha256=sha256_file(path),
                    mode=path.stat().st_mode & 0o777,
                )
            )
    return tuple(found)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
