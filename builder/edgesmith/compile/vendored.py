"""Takes the files that a build uses out of the downloaded archives, each under a fixed path."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgesmith.compile.archives import archives_for
from edgesmith.compile.downloads import Downloads
from edgesmith.errors import ToolchainError
from edgesmith.hashing import sha256_bytes
from edgesmith.platforms import Platform

Files = Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class VendoredFiles:
    """File contents by path.

    onnxruntime: `include/*.h`, `lib/<soname>`, `licenses/*`; json: `include/nlohmann/**`,
    `licenses/*`; sodium: `libsodium/**` as in its own source tree, `licenses/*`.
    """

    onnxruntime: Files
    json: Files
    sodium: Files


def vendored_files(platform: Platform, downloads: Downloads) -> VendoredFiles:
    """Reads everything into memory (about 35 MB); raises ToolchainError for a wrong file."""
    return VendoredFiles(
        onnxruntime=_onnxruntime(platform, downloads),
        json=_json(platform, downloads),
        sodium=_sodium(platform, downloads),
    )


def write_files(folder: Path, files: Files) -> None:
    """Writes `files` below `folder`."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _onnxruntime(platform: Platform, downloads: Downloads) -> Files:
    runtime = platform.runtime
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(downloads.runtime_wheel) as wheel:
        for path, expected in runtime.files.items():
            data = wheel.read(path)
            if sha256_bytes(data) != expected:
                raise ToolchainError(
                    f"{path}: expected SHA-256 {expected}, found {sha256_bytes(data)}",
                    where=str(downloads.runtime_wheel),
                    hint="delete this file and run again",
                )
            if path == runtime.library:
                files[f"lib/{runtime.soname}"] = data
            else:
                files[f"licenses/onnxruntime/{PurePosixPath(path).name}"] = data
    for name in archives_for(platform).headers.files:
        files[f"include/{name}"] = (downloads.headers / name).read_bytes()
    return files


def _json(platform: Platform, downloads: Downloads) -> Files:
    archive = archives_for(platform).json
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(downloads.json_wheel) as wheel:
        for path in wheel.namelist():
            relative = path.removeprefix(f"{archive.folder}/")
            if relative != path and relative.endswith(".hpp"):
                files[f"include/{relative}"] = wheel.read(path)
        files["licenses/nlohmann-json/LICENSE"] = wheel.read(archive.licence)
    return files


def _sodium(platform: Platform, downloads: Downloads) -> Files:
    archive = archives_for(platform).sodium
    files: dict[str, bytes] = {}
    with tarfile.open(downloads.sodium_source) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            if member.name == archive.licence:
                files["licenses/libsodium/LICENSE"] = stream.read()
            relative = member.name.removeprefix(f"{archive.folder}/")
            if relative != member.name and _is_sodium_source(relative):
                files[f"libsodium/{relative}"] = stream.read()
    return files


def _is_sodium_source(path: str) -> bool:
    if path == "builds/msvc/version.h":
        return True
    return path.startswith("src/libsodium/") and path.endswith((".c", ".h"))
