"""What programs and libraries need from a device, read from their ELF files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from edgesmith.errors import ToolchainError
from edgesmith.platforms import ElfFacts

_VERSION = re.compile(r"(GLIBC|GLIBCXX|CXXABI|GCC)_(\d+(?:\.\d+)*)")
# Not a number, but a feature that the loader has from this version on.
_NAMED_VERSIONS = {"GLIBC_ABI_DT_RELR": ("GLIBC", (2, 36))}
_MAGIC = b"\x7fELF"


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """Needs of a set of ELF files: newest symbol version of each kind, libraries from outside."""

    interpreter: str
    libraries: tuple[str, ...]
    versions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def version(self, kind: str) -> str | None:
        """The newest version of `kind` (GLIBC, GLIBCXX, CXXABI, GCC) as text."""
        found = self.versions.get(kind)
        return ".".join(map(str, found)) if found else None


def is_elf(path: Path) -> bool:
    """Whether the file begins as ELF files do."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def requirements(files: Iterable[Path], *, platform: ElfFacts) -> Requirements:
    """What the ELF files among `files` need together.

    Libraries that are among `files` count as there. Raises ToolchainError for a file that is not
    of the platform, and for one that can't be read.
    """
    interpreters: set[str] = set()
    needed: set[str] = set()
    present: set[str] = set()
    versions: dict[str, tuple[int, ...]] = {}
    for path in files:
        present.add(path.name)
        if not is_elf(path):
            continue
        with path.open("rb") as stream:
            try:
                elf = ELFFile(stream)
                _require_machine(elf, platform, path)
                interpreters |= set(_interpreters(elf))
                needed |= set(_needed(elf))
                for kind, version in _symbol_versions(elf):
                    versions[kind] = max(versions.get(kind, ()), version)
            except ELFError as error:
                raise _bad(path, f"is damaged: {error}") from error
    if len(interpreters) > 1:
        raise ToolchainError(
            f"programs ask for different loaders: {', '.join(sorted(interpreters))}",
            where="bundle",
            hint="compile everything with the same toolchain",
        )
    return Requirements(
        interpreter=next(iter(interpreters), ""),
        libraries=tuple(sorted(needed - present)),
        versions=versions,
    )


def _require_machine(elf: ELFFile, platform: ElfFacts, path: Path) -> None:
    machine, bits = str(elf.header.e_machine), int(elf.elfclass)
    if (machine, bits) != (platform.machine, platform.bits):
        raise _bad(
            path, f"is for {machine}, {bits} bits, not {platform.machine}, {platform.bits} bits"
        )


def _interpreters(elf: ELFFile) -> Iterator[str]:
    segment: Any
    for segment in elf.iter_segments("PT_INTERP"):
        yield segment.get_interp_name()


def _needed(elf: ELFFile) -> Iterator[str]:
    segment: Any
    for segment in elf.iter_segments("PT_DYNAMIC"):
        for tag in segment.iter_tags("DT_NEEDED"):
            yield tag.needed


def _symbol_versions(elf: ELFFile) -> Iterator[tuple[str, tuple[int, ...]]]:
    section: Any = elf.get_section_by_name(".gnu.version_r")
    for _, auxiliaries in section.iter_versions() if section else ():
        for auxiliary in auxiliaries:
            named = _NAMED_VERSIONS.get(auxiliary.name)
            found = _VERSION.fullmatch(auxiliary.name)
            if named:
                yield named
            elif found:
                yield found[1], tuple(map(int, found[2].split(".")))


def _bad(path: Path, finding: str) -> ToolchainError:
    return ToolchainError(
        f"{path.name} {finding}", where=str(path), hint="compile anew: edgesmith compile"
    )
