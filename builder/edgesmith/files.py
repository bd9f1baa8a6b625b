"""Folders that are ours, and results that appear under their final name only when complete."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgesmith.errors import HostFileError

MARKER = ".edgesmith.json"

_HINTS = {
    errno.ENOSPC: "free some space on that disk; the cache can lie on another one: EDGESMITH_CACHE",
    errno.EROFS: "the file system is read-only: move the project, or set EDGESMITH_CACHE, to a"
    " writable one",
    errno.EACCES: "give your user write permission there, or move the project",
    errno.EPERM: "give your user write permission there, or move the project",
}


# How tools, and Python in other processes, say that a disk or a quota is full; CMake breaks lines.
_FULL = re.compile(
    r"No[\s|]+space[\s|]+left[\s|]+on[\s|]+device|NoSpaceLeft|\bENOSPC\b|Disk[\s|]+quota[\s|]+exceeded"
)


def full_disk(text: str, *, where: str) -> HostFileError | None:
    """The error of a full disk when that is what a tool's output tells."""
    found = _FULL.search(text)
    if found is None:
        return None
    start, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.end())
    said = " ".join(text[start : len(text) if end < 0 else end].replace("|", " ").split())
    return HostFileError(
        f"no space left on the disk: {said}", where=where, hint=_HINTS[errno.ENOSPC]
    )


@contextmanager
def host_file_errors(path: Path) -> Iterator[None]:
    """Turns an OSError inside the block into a HostFileError that names the file."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise HostFileError(
            f"cannot write: {os.strerror(number) if number else error}",
            # Of a copy's two files the second is the one that is written.
            where=str(error.filename2 or error.filename or path),
            hint=_HINTS.get(number, "check that the path exists and is writable, then run again"),
        ) from error


def home_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's home folder; raises HostFileError when there is none."""
    try:
        return Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    except RuntimeError as error:
        raise HostFileError(
            "your user has no home folder",
            where="HOME",
            hint="set HOME, or EDGESMITH_CACHE and XDG_DATA_HOME, to folders that you may write",
        ) from error


def require_writable(folder: Path) -> None:
    """Makes `folder` and tries it, so that long work does not end at its last step.

    Raises HostFileError.
    """
    with host_file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def is_ours(folder: Path) -> bool:
    """Whether edgesmith made this folder: it carries our marker."""
    return (folder / MARKER).is_file() and not folder.is_symlink()


def require_ours_or_absent(folder: Path) -> None:
    """Raises HostFileError when `folder` exists, is not empty and does not carry our marker."""
    if not folder.exists() and not folder.is_symlink():
        return
    if is_ours(folder):
        return
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        return
    raise HostFileError(
        "this folder was not made by edgesmith and will not be overwritten",
        where=str(folder),
        hint="move it away or delete it yourself, then run the command again",
    )


def write_marker(folder: Path, *, stage: str, key: str) -> None:
    """Marks `folder` as made by `stage` under the cache key `key`."""
    text = json.dumps({"made_by": "edgesmith", "stage": stage, "key": key}, sort_keys=True)
    (folder / MARKER).write_text(text + "\n")


def read_marker(folder: Path) -> dict[str, str]:
    """The marker's content, or an empty dict when there is none that can be read."""
    try:
        content = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def replacing_folder(final: Path) -> Iterator[Path]:
    """A new folder beside `final` that takes its name when the block succeeds.

    On any failure the new folder is removed and the old one stays. Raises HostFileError
    when `final` is not ours, or the disk refuses.
    """
    require_ours_or_absent(final)
    with host_file_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{final.name}.tmp-", dir=final.parent))
        work.chmod(0o755)
    try:
        yield work
        with host_file_errors(final):
            _swap(work, final)
    finally:
        _remove(work)


def _swap(work: Path, final: Path) -> None:
    if not final.exists():
        work.rename(final)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{final.name}.old-", dir=final.parent))
    try:
        final.rename(old / final.name)
        work.rename(final)
    except BaseException:
        # An interrupt may come between the two.
        if not final.exists():
            (old / final.name).rename(final)
        raise
    finally:
        _remove(old)


def _remove(folder: Path) -> None:
    """Whole, even if an interrupt arrives meanwhile: that goes on afterwards."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Writes `path` through a temporary name; raises HostFileError."""
    with host_file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def copy_file(source: Path, target: Path, *, mode: int | None = None) -> None:
    """Copies bytes (never links, so that an edit can't reach the cache) and the mode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode if mode is not None else source.stat().st_mode & 0o777)
