"""Third-party CMake packages made from the downloaded archives.

The same files serve as a plain CMake prefix and as the contents of the Conan packages.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgesmith.compile.archives import LICENCE_FILE, Archive, archives_for
from edgesmith.compile.downloads import Downloads
from edgesmith.compile.own_runtime import folder_files, wheel_files
from edgesmith.errors import ToolchainError
from edgesmith.hashing import sha256_bytes
from edgesmith.platforms import Platform, RuntimeFacts
from edgesmith.resources import resource_folder

_SOURCE_LISTS = re.compile(r"set\(edgesmith_\w+_(?:SOURCES|HEADERS)\s+([^)]*)\)")

Files = Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class VendoredFiles:
    """Each package's file contents by path, as they lie below an installation prefix.

    onnxruntime: headers, library, licences; json: headers, licence; sodium: the part of the
    source that is compiled, licence; wuffs: its one source, licence. All with a CMake package in
    `lib/cmake/<name>/`.
    """

    onnxruntime: Files
    json: Files
    sodium: Files
    wuffs: Files


def vendored_files(platform: Platform, downloads: Downloads) -> VendoredFiles:
    """Reads all into memory (35 MB, 340 MB for CUDA); raises ToolchainError for a wrong file."""
    return VendoredFiles(
        onnxruntime=_onnxruntime(platform, downloads),
        json=_json(platform, downloads),
        sodium=_sodium(platform, downloads),
        wuffs=_wuffs(platform, downloads),
    )


def write_files(folder: Path, files: Files) -> None:
    """Writes `files` below `folder`."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _onnxruntime(platform: Platform, downloads: Downloads) -> Files:
    runtime, soname = platform.runtime, platform.runtime.soname
    if downloads.runtime_wheel is None:
        files = folder_files(platform)
    else:
        with zipfile.ZipFile(downloads.runtime_wheel) as wheel:
            if runtime.files:
                files = _pinned_files(wheel, runtime, str(downloads.runtime_wheel))
            else:
                soname, files = wheel_files(wheel, platform)
        files.setdefault(
            "licenses/onnxruntime/LICENSE", (downloads.headers / LICENCE_FILE).read_bytes()
        )
        for name in archives_for(platform).headers.files:
            files[f"include/{name}"] = (downloads.headers / name).read_bytes()
    values = {"ONNXRUNTIME_VERSION": runtime.library_version, "ONNXRUNTIME_SONAME": soname}
    return {**files, **_cmake_package("onnxruntime", values)}


def _pinned_files(wheel: zipfile.ZipFile, runtime: RuntimeFacts, where: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for path, expected in runtime.files.items():
        data = wheel.read(path)
        if sha256_bytes(data) != expected:
            raise ToolchainError(
                f"{path}: expected SHA-256 {expected}, found {sha256_bytes(data)}",
                where=where,
                hint="delete this file and run again",
            )
        name = PurePosixPath(path).name
        if path == runtime.library:
            files[f"lib/{runtime.soname}"] = data
        elif ".so" in name:
            files[f"lib/{name}"] = data
        else:
            files[f"licenses/onnxruntime/{name}"] = data
    return files | _flavor_licences(runtime.flavor)


def _flavor_licences(flavor: str) -> dict[str, bytes]:
    """Texts of what a flavor's wheel carries without one."""
    folder = resource_folder("templates") / "licenses" / "flavors" / flavor
    return {
        f"licenses/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _json(platform: Platform, downloads: Downloads) -> Files:
    archive = archives_for(platform).json
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(downloads.json_wheel) as wheel:
        for path in wheel.namelist():
            relative = path.removeprefix(f"{archive.folder}/")
            if relative != path and relative.endswith(".hpp"):
                files[f"include/{relative}"] = wheel.read(path)
        files["licenses/nlohmann-json/LICENSE"] = wheel.read(archive.licence)
    values = {"NLOHMANN_JSON_VERSION": archive.version}
    return {**files, **_cmake_package("nlohmann_json", values)}


def _cmake_package(name: str, values: Mapping[str, str]) -> Files:
    file = f"{name}-config.cmake"
    text = (resource_folder("templates") / "cmake_packages" / f"{file}.in").read_text("utf-8")
    for variable, value in values.items():
        text = text.replace(f"@{variable}@", value)
    return {f"lib/cmake/{name}/{file}": text.encode()}


def _sodium(platform: Platform, downloads: Downloads) -> Files:
    archive = archives_for(platform).sodium
    taken = _sources(archive, downloads.sodium_source, "libsodium", [archive.licence])
    licence = taken.pop(archive.licence)
    return {**taken, "licenses/libsodium/LICENSE": licence}


def _wuffs(platform: Platform, downloads: Downloads) -> Files:
    # The archive's own licence text is that of the Python code around Wuffs.
    licence = resource_folder("templates") / "licenses" / "wuffs" / "LICENSE"
    files = _sources(archives_for(platform).wuffs, downloads.wuffs_source, "wuffs")
    return {**files, "licenses/wuffs/LICENSE": licence.read_bytes()}


def _sources(
    archive: Archive, file: Path, name: str, others: Iterable[str] = ()
) -> dict[str, bytes]:
    """A library as source: its CMake package with the files that the package lists.

    `others` are paths inside the archive whose contents are wanted under these very paths.
    """
    config = _source_package(name)
    root = f"lib/cmake/{config.stem.removesuffix('-config')}"
    wanted = {f"{archive.folder}/{path}": f"{root}/{name}/{path}" for path in _listed(config)}
    wanted |= {path: path for path in others}
    files: dict[str, bytes] = {}
    with tarfile.open(file) as tar:
        for member in tar:
            path = wanted.get(member.name)
            stream = tar.extractfile(member) if path is not None and member.isfile() else None
            if path is not None and stream is not None:
                files[path] = stream.read()
    missing = sorted(set(wanted.values()) - set(files))
    if missing:
        raise ToolchainError(
            f"the archive does not hold {', '.join(missing)}",
            where=str(file),
            hint="install edgesmith again: its file lists and its downloads do not fit together",
        )
    return {**files, f"{root}/{config.name}": config.read_bytes()}


def _listed(config: Path) -> list[str]:
    """The files named in the lists of the CMake package, so that they stand in one place."""
    lists = _SOURCE_LISTS.findall(config.read_text(encoding="utf-8"))
    return [path for group in lists for path in group.split()]


def _source_package(name: str) -> Path:
    """The CMake package file that compiles the chosen part of a library."""
    file = f"edgesmith-{name.removeprefix('lib')}-config.cmake"
    return resource_folder("runtime_cpp") / "cmake" / file
