"""Whether a bundle's programs would run on its platform, judged before the bundle appears."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edgesmith.bundle.elf import ElfFile
from edgesmith.errors import ToolchainError
from edgesmith.platforms import Platform

INSTALLER = "bin/installer"
LIBRARY_FOLDER = "lib"
# What every glibc system has, with its loader: the C library, libstdc++ and libgcc.
SYSTEM_LIBRARIES = frozenset({
    "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1",
    "libstdc++.so.6",
})  # fmt: skip
_HINT = (
    'compile with toolchain = "zig", or name a platform that has it: [platforms.NAME] with its own'
    " glibc"
)
_HINT_OF_PLUGINS = (
    "name libraries that go into the bundle under files of [plugins.NAME], those that devices have"
    " under needs"
)
_NONE: Mapping[str, Collection[str]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong with one file."""

    path: str
    what: str

    def render(self) -> str:
        return f"{self.path}: {self.what}"


def unfit(
    files: Iterable[ElfFile], platform: Platform, *, free: Mapping[str, Collection[str]] = _NONE
) -> tuple[Finding, ...]:
    """All for which the files can't run on any device of the platform.

    `free` names, by file, libraries that it may need though only some devices have them.
    """
    files = tuple(files)
    bundled = frozenset(
        file.path for file in files if f"{posixpath.dirname(file.path)}/".startswith("lib/")
    )
    return tuple(
        Finding(path=file.path, what=what)
        for file in files
        for what in _unfit(file, platform, bundled, free=free.get(file.path, ()))
    )


def above_floors(files: Iterable[ElfFile], platform: Platform) -> tuple[Finding, ...]:
    """Each symbol version that is newer than what the platform's devices are said to have."""
    return tuple(
        Finding(
            path=file.path,
            what=f"needs {kind}_{_text(version)}, the platform promises {platform.floors[kind]}",
        )
        for file in files
        for kind, version in sorted(file.versions.items())
        if kind in platform.floors and version > _version(platform.floors[kind])
    )


def require_fit(
    files: Iterable[ElfFile],
    platform: Platform,
    *,
    floors: bool,
    free: Mapping[str, Collection[str]] = _NONE,
) -> None:
    """Raises ToolchainError that names all findings; `floors`: also versions above the floors.
    `free` as in unfit()."""
    files = tuple(files)
    findings = unfit(files, platform, free=free) + (above_floors(files, platform) if floors else ())
    if findings:
        raise ToolchainError(
            f"the bundle would not run on {platform.name}\n" + listed(findings),
            where=", ".join(dict.fromkeys(finding.path for finding in findings)),
            hint=_HINT_OF_PLUGINS if _all_of_plugins(findings) else _HINT,
        )


def _all_of_plugins(findings: Iterable[Finding]) -> bool:
    return all(finding.path.startswith(f"{LIBRARY_FOLDER}/plugins/") for finding in findings)


def listed(findings: Sequence[Finding]) -> str:
    """One indented line for each."""
    return "\n".join(f"    {finding.render()}" for finding in findings)


def _unfit(
    file: ElfFile, platform: Platform, bundled: frozenset[str], *, free: Collection[str]
) -> Iterator[str]:
    elf = platform.elf
    if (file.machine, file.bits) != (elf.machine, elf.bits):
        yield f"is for {file.machine}, {file.bits} bits, not {elf.machine}, {elf.bits} bits"
    if file.path == INSTALLER:
        if file.interpreter or file.needed:
            found = ", ".join([file.interpreter, *file.needed]).strip(", ")
            yield f"is not static: needs {found}"
        return
    if file.interpreter and file.interpreter != elf.interpreter:
        yield f"asks for the loader {file.interpreter}, devices have {elf.interpreter}"
    folder = posixpath.dirname(file.path)
    searched = {_resolved(entry, folder) for entry in file.search_path}
    outside = [entry for entry in file.search_path if _resolved(entry, folder) is None]
    if outside:
        yield (
            f"looks for libraries in {', '.join(entry or 'an empty entry' for entry in outside)},"
            " which is not below its own bundle ($ORIGIN)"
        )
    system = {*SYSTEM_LIBRARIES, *platform.system_libraries, posixpath.basename(elf.interpreter)}
    names = {posixpath.basename(path) for path in bundled}
    for library in file.needed:
        if any(f"{one}/{library}" in bundled for one in searched) or library in system:
            continue
        if library in names:
            place = next(p for p in sorted(bundled) if posixpath.basename(p) == library)
            yield f"needs {library} and does not look for it in {posixpath.dirname(place)}/"
        elif library not in free:
            yield f"needs {library}, which is neither in {LIBRARY_FOLDER}/ nor a system library"


def _resolved(entry: str, folder: str) -> str | None:
    """The folder of the bundle that an entry of a search path means; None for one outside."""
    head, _, rest = entry.partition("/")
    if head not in ("$ORIGIN", "${ORIGIN}"):
        return None
    place = posixpath.normpath(posixpath.join(folder, rest))
    return None if place == ".." or place.startswith("../") else place


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
