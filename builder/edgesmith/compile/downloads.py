"""Fetches what a build needs into the cache, by name, verified by SHA-256."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from edgesmith.compile import clients
from edgesmith.compile.archives import Archive, archives_for
from edgesmith.errors import ToolchainError
from edgesmith.events import EventStream, Progress
from edgesmith.files import host_file_errors
from edgesmith.hashing import sha256_file
from edgesmith.platforms import Platform

_STAGE = "download"


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """Verified third-party files in the cache.

    `headers` is a folder that holds the pinned header files; the others are archives.
    """

    runtime_wheel: Path
    headers: Path
    json_wheel: Path
    sodium_source: Path
    wuffs_source: Path


def fetch(
    platform: Platform, *, cache: Path, offline: bool = False, events: EventStream
) -> Downloads:
    """Everything that a build for `platform` needs, downloading only what is not there.

    Raises ToolchainError when something is missing and `offline` is set, when pip, npm or the
    network is missing, or when bytes are not the pinned ones; HostFileError when the cache
    can't be written.
    """
    root = cache / "downloads"
    archives = archives_for(platform)
    missing = [archive for archive in archives.all() if not _is_present(archive, root)]
    if missing and offline:
        raise ToolchainError(
            "not downloaded yet: " + ", ".join(archive.title for archive in missing),
            where=str(root),
            hint="run once without --offline",
        )
    if missing:
        _download_all(missing, root, events)
    return Downloads(
        runtime_wheel=_place(archives.runtime, root),
        headers=_place(archives.headers, root),
        json_wheel=_place(archives.json, root),
        sodium_source=_place(archives.sodium, root),
        wuffs_source=_place(archives.wuffs, root),
    )


def _place(archive: Archive, root: Path) -> Path:
    name = "headers" if archive.channel == "npm" else archive.file
    return root / archive.sha256 / name


def _is_present(archive: Archive, root: Path) -> bool:
    place = _place(archive, root)
    if archive.channel == "npm":
        return all(
            (place / name).is_file() and sha256_file(place / name) == sha256
            for name, sha256 in archive.files.items()
        )
    return place.is_file() and sha256_file(place) == archive.sha256


def _download_all(missing: Sequence[Archive], root: Path, events: EventStream) -> None:
    events.info("downloading " + ", ".join(archive.title for archive in missing))
    events.emit(Progress(stage=_STAGE, done=0, total=len(missing), unit="archives"))
    with ThreadPoolExecutor(max_workers=len(missing)) as pool:
        running = [pool.submit(_download_one, archive, root, events) for archive in missing]
        for done, future in enumerate(as_completed(running), start=1):
            future.result()
            events.emit(Progress(stage=_STAGE, done=done, total=len(missing), unit="archives"))


def _download_one(archive: Archive, root: Path, events: EventStream) -> None:
    with host_file_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as scratch:
            fetched = clients.download(archive, Path(scratch), events=events)
            found = sha256_file(fetched)
            if found != archive.sha256:
                raise clients.wrong_hash(archive, expected=archive.sha256, found=found)
            kept = _unpack_headers(archive, fetched) if archive.channel == "npm" else fetched
            _keep(kept, _place(archive, root))


def _keep(kept: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    kept.replace(place)


def _unpack_headers(archive: Archive, fetched: Path) -> Path:
    """Only the pinned header files: the archive around them is large and not needed again."""
    folder = fetched.parent / "headers"
    folder.mkdir()
    wanted = {f"{archive.folder}/{name}": name for name in archive.files}
    with tarfile.open(fetched) as tar:
        for member in tar:
            name = wanted.get(member.name)
            stream = tar.extractfile(member) if name is not None and member.isfile() else None
            if name is not None and stream is not None:
                (folder / name).write_bytes(stream.read())
    for name, expected in archive.files.items():
        found = sha256_file(folder / name) if (folder / name).is_file() else "no such file"
        if found != expected:
            raise ToolchainError(
                f"{name} in {archive.title}: expected SHA-256 {expected}, found {found}",
                where=archive.file,
                hint="this edgesmith release pins another file: install its latest version",
            )
    return folder
