"""Libraries of plugin providers: from the project's own files into the generated project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgesmith.errors import ToolchainError, UsageError
from edgesmith.files import copy_file, host_file_errors
from edgesmith.hashing import sha256_file
from edgesmith.platforms import Platform
from edgesmith.providers import Plugin, Provider


@dataclass(frozen=True, kw_only=True)
class _File:
    """`path` of the user's, named by `key`; `place` is where it lies in the generated project."""

    key: str
    path: Path
    place: str

    @property
    def where(self) -> str:
        return f"{self.key}, {self.path}"

    @property
    def is_library(self) -> bool:
        return self.place.startswith("plugins/")


def require_plugin_libraries(provider: Provider, platform: Platform) -> None:
    """Raises UsageError for what is no library of the platform's machines, and as
    `require_plugin_files` does."""
    if provider.plugin is None:
        return
    from edgesmith.bundle.elf import read_elf

    require_plugin_files(provider)
    wanted = platform.elf
    for file in _files(provider.plugin):
        if not file.is_library:
            continue
        try:
            with host_file_errors(file.path):
                elf = read_elf(file.path.parent, file.path.name)
        except ToolchainError as error:
            raise UsageError(
                f"no library: {error.what}",
                where=file.where,
                hint="name the library itself, whole, as its maker built it for Linux",
            ) from error
        if (elf.machine, elf.bits) != (wanted.machine, wanted.bits):
            raise UsageError(
                f"the library is for {elf.machine}, {elf.bits} bits, and {platform.name} is"
                f" {wanted.machine}, {wanted.bits} bits",
                where=file.where,
                hint="name the one that its maker built for these machines",
            )


def require_plugin_files(provider: Provider) -> None:
    """Raises UsageError for a file that is not there or a name that two files have."""
    seen: set[str] = set()
    for file in _files(provider.plugin):
        if not file.path.is_file():
            raise UsageError(
                "it is no file" if file.path.exists() else "there is no such file",
                where=file.where,
                hint="name the files of the plugin, relative to the project file",
            )
        if file.place in seen:
            raise UsageError(
                f"two files are called {file.path.name}",
                where=file.key,
                hint="files of a plugin lie in one folder, its licences in another: name each once",
            )
        seen.add(file.place)


def plugin_digests(provider: Provider) -> dict[str, str]:
    """SHA-256 of each file of a plugin, by its place; none for the runtime's own providers.

    Raises UsageError as `require_plugin_files` does, and HostFileError.
    """
    require_plugin_files(provider)
    found: dict[str, str] = {}
    for file in _files(provider.plugin):
        with host_file_errors(file.path):
            found[file.place] = sha256_file(file.path)
    return found


def copy_plugins(folder: Path, providers: Mapping[str, Provider]) -> None:
    """Copies the files of all plugins below `folder`."""
    for provider in providers.values():
        for file in _files(provider.plugin):
            place = folder / file.place
            place.parent.mkdir(parents=True, exist_ok=True)
            copy_file(file.path, place, mode=0o644)


def _files(plugin: Plugin | None) -> Iterator[_File]:
    """The project's installation puts `plugins` below lib, and `licenses` as it is."""
    if plugin is None:
        return
    key, libraries = f"plugins.{plugin.name}", f"plugins/{plugin.name}"
    yield _File(
        key=f"{key}.library", path=plugin.library, place=f"{libraries}/{plugin.library.name}"
    )
    named = (
        ("files", plugin.files, libraries),
        ("licenses", plugin.licenses, f"licenses/{libraries}"),
    )
    for setting, paths, folder in named:
        for index, path in enumerate(paths):
            yield _File(key=f"{key}.{setting}[{index}]", path=path, place=f"{folder}/{path.name}")
