"""Libraries of plugin providers: from the project's own files into the generated project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edgesmith.errors import UsageError
from edgesmith.files import copy_file, host_file_errors
from edgesmith.hashing import sha256_file
from edgesmith.providers import Plugin, Provider

# Below the generated project; its installation puts them below lib/plugins.
FOLDER = "plugins"


def plugin_digests(provider: Provider) -> dict[str, str]:
    """SHA-256 of each file of a plugin, by name; none for the runtime's own providers.

    Raises UsageError for a file that is not there or a name that two files have.
    """
    found: dict[str, str] = {}
    for key, path in _files(provider.plugin):
        if not path.is_file():
            raise UsageError(
                "there is no such file",
                where=f"{key}, {path}",
                hint="name the libraries of the plugin, relative to the project file",
            )
        if path.name in found:
            raise UsageError(
                f"two files are called {path.name}",
                where=key,
                hint="files of a plugin lie in one folder: name each once",
            )
        with host_file_errors(path):
            found[path.name] = sha256_file(path)
    return found


def copy_plugins(folder: Path, providers: Mapping[str, Provider]) -> None:
    """Copies the files of all plugins below `folder`."""
    for name, provider in providers.items():
        for _, path in _files(provider.plugin):
            place = folder / FOLDER / name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            copy_file(path, place, mode=0o644)


def _files(plugin: Plugin | None) -> Iterator[tuple[str, Path]]:
    if plugin is None:
        return
    yield f"plugins.{plugin.name}.library", plugin.library
    for index, path in enumerate(plugin.files):
        yield f"plugins.{plugin.name}.files[{index}]", path
