"""Fetches what a build needs into the cache, by name, verified by SHA-256."""

from __future__ import annotations

import shlex
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from edgesmith.compile import clients
from edgesmith.compile.archives import Archive, Archives, archives_for, headers_archive
from edgesmith.errors import HostFileError, ToolchainError
from edgesmith.events import EventStream, Progress
from edgesmith.files import host_file_errors
from edgesmith.hashing import sha256_file
from edgesmith.platforms import Platform
from edgesmith.resources import packaged_headers

_STAGE = "download"
FETCH_HINT = "where there is a network, run: edgesmith fetch"


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """Verified third-party files in the cache, or of the installed wheel.

    `headers` is a folder that holds the pinned header files; the others are archives. A runtime
    from a project's own folder needs no wheel.
    """

    runtime_wheel: Path | None
    headers: Path
    json_wheel: Path
    sodium_source: Path
    wuffs_source: Path


def fetch(
    platform: Platform,
    *,
    cache: Path,
    offline: bool = False,
    events: EventStream,
    cancelled: threading.Event | None = None,
) -> Downloads:
    """Everything that a build for `platform` needs, downloading only what is not there.

    `cancelled` ends downloads that another thread waits for. Raises ToolchainError when
    something is missing and `offline` is set, when pip, npm or the network is missing, or when
    bytes are not the pinned ones; HostFileError when the cache can't be written.
    """
    root = cache / "downloads"
    archives = archives_for(platform)
    missing = missing_archives(platform, cache=cache)
    if missing and offline:
        raise ToolchainError(
            "not downloaded yet: " + ", ".join(archive.title for archive in missing),
            where=str(root),
            hint=FETCH_HINT,
        )
    if missing:
        _download_all(missing, root, events, cancelled or threading.Event())
    return _downloads(archives, root)


def fetch_headers(*, cache: Path, events: EventStream) -> Path:
    """The folder of ONNX Runtime's headers and licence alone; raises as `fetch` does."""
    root, archive = cache / "downloads", headers_archive()
    if not _is_present(archive, root):
        _download_all([archive], root, events, threading.Event())
    return _place(archive, root)


def missing_archives(platform: Platform, *, cache: Path) -> tuple[Archive, ...]:
    """What a build for `platform` would still have to download."""
    root = cache / "downloads"
    return tuple(a for a in archives_for(platform).all() if not _is_present(a, root))


def require_downloads(targets: Mapping[str, Platform], *, cache: Path) -> None:
    """Raises ToolchainError that names all that is missing for `targets`, by their names."""
    missing: dict[str, str] = {}
    lacking = []
    for target, platform in targets.items():
        found = missing_archives(platform, cache=cache)
        missing |= {archive.file: archive.title for archive in found}
        lacking += [target] if found else []
    if missing:
        options = " ".join(f"--target {shlex.quote(target)}" for target in lacking)
        raise ToolchainError(
            "not downloaded yet: " + ", ".join(missing.values()),
            where=str(cache / "downloads"),
            hint=f"{FETCH_HINT} {options}",
        )


def _downloads(archives: Archives, root: Path) -> Downloads:
    return Downloads(
        runtime_wheel=None if archives.runtime is None else _place(archives.runtime, root),
        headers=_place(archives.headers, root),
        json_wheel=_place(archives.json, root),
        sodium_source=_place(archives.sodium, root),
        wuffs_source=_place(archives.wuffs, root),
    )


def _place(archive: Archive, root: Path) -> Path:
    if archive.channel == "npm":
        return packaged_headers() or root / archive.sha256 / "headers"
    return root / archive.sha256 / archive.file


def _is_present(archive: Archive, root: Path) -> bool:
    """Raises HostFileError when the installed wheel's own copy was changed."""
    place = _place(archive, root)
    if archive.channel != "npm":
        return _is_file(place, archive.sha256)
    wrong = [n for n, sha256 in archive.kept_files.values() if not _is_file(place / n, sha256)]
    if wrong and place == packaged_headers():
        raise HostFileError(
            f"edgesmith's own file '{wrong[0]}' is not the one that was installed",
            where=str(place),
            hint="install edgesmith again: pip install --force-reinstall --no-deps edgesmith",
        )
    return not wrong


def _is_file(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


def _download_all(
    missing: Sequence[Archive], root: Path, events: EventStream, cancelled: threading.Event
) -> None:
    """All at once; when one fails or the user interrupts, the others are ended too."""
    events.info("downloading " + ", ".join(archive.title for archive in missing))
    events.emit(Progress(stage=_STAGE, done=0, total=len(missing), unit="archives"))
    with ThreadPoolExecutor(max_workers=len(missing)) as pool:
        running = [pool.submit(_download_one, one, root, events, cancelled) for one in missing]
        try:
            for done, future in enumerate(as_completed(running), start=1):
                future.result()
                events.emit(Progress(stage=_STAGE, done=done, total=len(missing), unit="archives"))
        except BaseException:
            cancelled.set()
            raise


def _download_one(
    archive: Archive, root: Path, events: EventStream, cancelled: threading.Event
) -> None:
    with host_file_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as scratch:
            fetched = clients.download(archive, Path(scratch), events=events, cancelled=cancelled)
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
    """Only the pinned files: the archive around them is large and not needed again."""
    folder = fetched.parent / "headers"
    folder.mkdir()
    kept = archive.kept_files
    with tarfile.open(fetched) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.name in kept and member.isfile() else None
            if stream is not None:
                (folder / kept[member.name][0]).write_bytes(stream.read())
    for name, expected in kept.values():
        found = sha256_file(folder / name) if (folder / name).is_file() else "no such file"
        if found != expected:
            raise ToolchainError(
                f"{name} in {archive.title}: expected SHA-256 {expected}, found {found}",
                where=archive.file,
                hint="this edgesmith release pins another file: install its latest version",
            )
    return folder
