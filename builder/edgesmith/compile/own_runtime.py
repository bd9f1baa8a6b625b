"""An ONNX Runtime that a project brings along: a folder, or a wheel unknown to edgesmith."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from edgesmith.errors import ToolchainError, UsageError
from edgesmith.files import host_file_errors
from edgesmith.hashing import sha256_bytes, sha256_file
from edgesmith.platforms import Platform

HEADER = "onnxruntime_cxx_api.h"
_HEADER_FOLDERS = ("include", "include/onnxruntime", "include/onnxruntime/core/session")
_LIBRARY_FOLDERS = ("lib", "lib64")
_LICENCE = re.compile(r"(LICEN[CS]E|NOTICE|COPYING|ThirdPartyNotices)(\.(txt|md|rst))?", re.I)
_VERSION = re.compile(r"VERS_(\d+(?:\.\d+)+)")
# The runtime looks for the libraries of its execution providers beside itself.
_PROVIDER = re.compile(r"libonnxruntime_providers_\w+\.so")
_UNVERIFIED = """\
ONNX Runtime {version} of this bundle comes from a folder of whoever built it. Nothing verified
where it comes from; its licence texts are those that lay in that folder.
"""


@dataclass(frozen=True, kw_only=True)
class Library:
    """What an ONNX Runtime library says of itself; empty where it does not."""

    machine: str
    bits: int
    soname: str
    version: str


def resolved(platform: Platform) -> Platform:
    """The platform with the files of its runtime's folder; others are as they were.

    Raises UsageError for a folder that holds no ONNX Runtime, ToolchainError for one of another
    machine, HostFileError.
    """
    runtime = platform.runtime
    if runtime.folder is None:
        return platform
    with host_file_errors(runtime.folder):
        path = _library_of(runtime.folder, platform.name)
        library = read_library((runtime.folder / path).read_bytes(), where=str(runtime.folder))
        _require_machine(library, platform)
        if not library.version:
            raise UsageError(
                f"{path} does not say which release of ONNX Runtime it is",
                where=str(runtime.folder),
                hint="use a library whose symbols have versions, as ONNX Runtime's own builds do",
            )
        files = {
            name: sha256_file(runtime.folder / name)
            for name in (
                path,
                *_provider_libraries(runtime.folder, path),
                *_headers(runtime.folder, platform.name),
                *_texts(runtime.folder),
            )
        }
    found = replace(
        runtime,
        version=library.version,
        library=path,
        soname=library.soname or PurePosixPath(path).name,
        files=MappingProxyType(files),
    )
    return replace(platform, runtime=found)


def read_library(data: bytes, *, where: str) -> Library:
    """The facts of a library; raises ToolchainError for what is none."""
    try:
        elf = ELFFile(io.BytesIO(data))
        segments: Any = elf.iter_segments("PT_DYNAMIC")
        sonames = [tag.soname for one in segments for tag in one.iter_tags("DT_SONAME")]
        definitions: Any = elf.get_section_by_name(".gnu.version_d")
        groups = [group for _, group in definitions.iter_versions()] if definitions else []
        names = [auxiliary.name for group in groups for auxiliary in group]
    except (ELFError, ValueError, UnicodeError) as error:
        raise ToolchainError(
            f"the ONNX Runtime library is no whole ELF file: {error}",
            where=where,
            hint="name the shared library of a Linux build",
        ) from error
    versions = [found[1] for name in names if (found := _VERSION.fullmatch(name))]
    return Library(
        machine=str(elf.header.e_machine),
        bits=int(elf.elfclass),
        soname=sonames[0] if sonames else "",
        version=versions[0] if versions else "",
    )


def folder_files(platform: Platform) -> dict[str, bytes]:
    """The runtime's package from its folder: library, headers and licence texts.

    Raises ToolchainError when a file is no longer what it was.
    """
    runtime = platform.runtime
    folder = runtime.folder
    if folder is None:
        raise ValueError("the platform's runtime is no folder")
    files: dict[str, bytes] = {}
    for name, expected in runtime.files.items():
        data = (folder / name).read_bytes()
        if sha256_bytes(data) != expected:
            raise ToolchainError(
                f"{name} was changed during the build",
                where=str(folder),
                hint="run again when the folder is complete",
            )
        base = PurePosixPath(name).name
        if name == runtime.library:
            files[f"lib/{runtime.soname}"] = data
        elif base.endswith(".h"):
            files[f"include/{base}"] = data
        elif ".so" in base:
            files[f"lib/{base}"] = data
        else:
            files[f"licenses/onnxruntime/{base}"] = data
    note = _UNVERIFIED.format(version=runtime.library_version)
    return {**files, "licenses/onnxruntime/UNVERIFIED.txt": note.encode()}


def wheel_files(wheel: zipfile.ZipFile, platform: Platform) -> tuple[str, dict[str, bytes]]:
    """Soname, and library and licence texts of a wheel whose own hash was checked.

    Raises ToolchainError when it does not hold the library.
    """
    runtime, names = platform.runtime, wheel.namelist()
    if runtime.library not in names:
        libraries = [name for name in names if ".so" in PurePosixPath(name).name][:8]
        raise ToolchainError(
            f"the wheel does not hold {runtime.library}; its libraries:"
            f" {', '.join(libraries) or 'none'}",
            where=f"platforms.{platform.name}.wheel.library",
            hint="name the path of libonnxruntime inside the wheel",
        )
    data = wheel.read(runtime.library)
    library = read_library(data, where=f"platforms.{platform.name}.wheel.library")
    _require_machine(library, platform)
    soname = library.soname or PurePosixPath(runtime.library).name
    files = {f"lib/{soname}": data}
    folder = PurePosixPath(runtime.library).parent
    for name in names:
        if PurePosixPath(name).parent == folder and _PROVIDER.fullmatch(PurePosixPath(name).name):
            files[f"lib/{PurePosixPath(name).name}"] = wheel.read(name)
    for name in names:
        pure = PurePosixPath(name)
        if _LICENCE.fullmatch(pure.name):
            # Texts of the same name stay apart by their folder's.
            path = f"licenses/onnxruntime/{pure.name}"
            path = path if path not in files else f"{path}-{pure.parent.name}"
            files[path] = wheel.read(name)
    return soname, files


def _library_of(folder: Path, platform: str) -> str:
    for place in _LIBRARY_FOLDERS:
        found = sorted((folder / place).glob("libonnxruntime.so*"), key=lambda path: len(path.name))
        for path in found:
            if path.is_file():
                return f"{place}/{path.name}"
    raise _no_runtime(folder, platform, "lib/libonnxruntime.so")


def _provider_libraries(folder: Path, library: str) -> list[str]:
    place = PurePosixPath(library).parent
    beside = sorted((folder / place).iterdir())
    return [f"{place}/{path.name}" for path in beside if _PROVIDER.fullmatch(path.name)]


def _headers(folder: Path, platform: str) -> list[str]:
    for place in _HEADER_FOLDERS:
        if (folder / place / HEADER).is_file():
            return [f"{place}/{path.name}" for path in sorted((folder / place).glob("*.h"))]
    raise _no_runtime(folder, platform, f"include/{HEADER}")


def _texts(folder: Path) -> Iterable[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_file() and _LICENCE.fullmatch(p.name))


def _no_runtime(folder: Path, platform: str, missing: str) -> UsageError:
    there = "the folder does not hold" if folder.is_dir() else "there is no such folder:"
    return UsageError(
        f"{there} {missing if folder.is_dir() else folder}",
        where=f"platforms.{platform}.onnxruntime, {folder}",
        hint="name a folder with include/ and lib/, as ONNX Runtime's releases have it",
    )


def _require_machine(library: Library, platform: Platform) -> None:
    elf = platform.elf
    if (library.machine, library.bits) != (elf.machine, elf.bits):
        raise ToolchainError(
            f"the ONNX Runtime library is for {library.machine}, {library.bits} bits;"
            f" {platform.name} is {elf.machine}, {elf.bits} bits",
            where=f"platforms.{platform.name}",
            hint="name a library, or a base, of the board's machine",
        )
