"""What programs and libraries need from a device, read from their ELF files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from edgesmith.errors import ToolchainError

Version = tuple[int, ...]

_VERSION = re.compile(r"(GLIBC|GLIBCXX|CXXABI|GCC)_(\d+(?:\.\d+)*)")
# Not a number, but a feature that the loader has from this version on.
_NAMED_VERSIONS = {"GLIBC_ABI_DT_RELR": ("GLIBC", (2, 36))}
_MAGIC = b"\x7fELF"


@dataclass(frozen=True, kw_only=True)
class ElfFile:
    """One program or library; `path` is relative to the bundle.

    `versions` holds the newest symbol version of each kind (GLIBC, GLIBCXX, CXXABI, GCC) that it
    asks of others, `search_path` the folders of its own RUNPATH or RPATH.
    """

    path: str
    machine: str
    bits: int
    interpreter: str
    needed: tuple[str, ...]
    search_path: tuple[str, ...]
    versions: Mapping[str, Version] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """Needs of a set of ELF files: newest symbol version of each kind, libraries from outside."""

    interpreter: str
    libraries: tuple[str, ...]
    versions: Mapping[str, Version] = field(default_factory=dict)

    def version(self, kind: str) -> str | None:
        """The newest version of `kind` (GLIBC, GLIBCXX, CXXABI, GCC) as text."""
        found = self.versions.get(kind)
        return ".".join(map(str, found)) if found else None


def read_elf(folder: Path, path: str) -> ElfFile:
    """The facts of `folder/path`; raises ToolchainError for what is damaged or no ELF file."""
    with (folder / path).open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise _bad(folder, path, "is neither a program nor a library")
        stream.seek(0)
        try:
            return _facts(ELFFile(stream), path)
        except (ELFError, ValueError, UnicodeError) as error:
            raise _bad(folder, path, f"is damaged: {error}") from error


def requirements(files: Iterable[ElfFile], *, free: Collection[str] = frozenset()) -> Requirements:
    """What `files` need together; libraries that are among them count as there.

    Of those whose path is in `free`, which programs do without, only the versions count.

    Raises ToolchainError for programs that ask for different loaders.
    """
    files = tuple(files)
    interpreters = {file.interpreter for file in files if file.interpreter}
    if len(interpreters) > 1:
        raise ToolchainError(
            f"programs ask for different loaders: {', '.join(sorted(interpreters))}",
            where="bundle",
            hint="compile everything with the same toolchain",
        )
    present = {file.path.rpartition("/")[2] for file in files}
    needed = {library for file in files if file.path not in free for library in file.needed}
    versions: dict[str, Version] = {}
    for file in files:
        for kind, version in file.versions.items():
            versions[kind] = max(versions.get(kind, ()), version)
    return Requirements(
        interpreter=next(iter(interpreters), ""),
        libraries=tuple(sorted(needed - present)),
        versions=versions,
    )


def _facts(elf: ELFFile, path: str) -> ElfFile:
    tags = list(_dynamic_tags(elf))
    # The loader looks at DT_RPATH only where there is no DT_RUNPATH.
    paths = [tag.runpath for tag in tags if tag.entry.d_tag == "DT_RUNPATH"]
    paths = paths or [tag.rpath for tag in tags if tag.entry.d_tag == "DT_RPATH"]
    versions: dict[str, Version] = {}
    for kind, version in _symbol_versions(elf):
        versions[kind] = max(versions.get(kind, ()), version)
    segments: Any = elf.iter_segments("PT_INTERP")
    return ElfFile(
        path=path,
        machine=str(elf.header.e_machine),
        bits=int(elf.elfclass),
        interpreter=next((segment.get_interp_name() for segment in segments), ""),
        needed=tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
        search_path=tuple(folder for one in paths for folder in one.split(":")),
        versions=versions,
    )


def _dynamic_tags(elf: ELFFile) -> Iterator[Any]:
    segment: Any
    for segment in elf.iter_segments("PT_DYNAMIC"):
        yield from segment.iter_tags()


def _symbol_versions(elf: ELFFile) -> Iterator[tuple[str, Version]]:
    section: Any = elf.get_section_by_name(".gnu.version_r")
    for _, auxiliaries in section.iter_versions() if section else ():
        for auxiliary in auxiliaries:
            named = _NAMED_VERSIONS.get(auxiliary.name)
            found = _VERSION.fullmatch(auxiliary.name)
            if named:
                yield named
            elif found:
                yield found[1], tuple(map(int, found[2].split(".")))


def _bad(folder: Path, path: str, finding: str) -> ToolchainError:
    return ToolchainError(
        f"{path} {finding}", where=str(folder / path), hint="compile anew: edgesmith compile"
    )
