"""What execution providers need of a device beside the bundle: drivers and their libraries."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from edgesmith.bundle.elf import ElfFile
from edgesmith.bundle.preflight import SYSTEM_LIBRARIES
from edgesmith.platforms import Platform
from edgesmith.providers import Provider


def provider_of_file(file: ElfFile, platform: Platform, providers: Mapping[str, Provider]) -> str:
    """The name of the provider that needs more than the bundle and whose library this is, or
    nothing."""
    folder, base = posixpath.split(file.path)
    # What a runtime of the project's own needs is known from its files alone.
    of_runtime = platform.providers if platform.runtime.is_own else platform.drivers
    for name in of_runtime:
        if base == f"libonnxruntime_providers_{name}.so":
            return name
    for name, provider in providers.items():
        if provider.plugin is not None and folder == provider.plugin.folder:
            return name if provider.plugin.needs else ""
    return ""


def from_devices(
    files: Iterable[ElfFile], platform: Platform, providers: Mapping[str, Provider]
) -> dict[str, frozenset[str]]:
    """For each file of a provider that needs more than the bundle, which libraries only devices
    have: all for the runtime's own, for a plugin those that the project names."""
    found: dict[str, frozenset[str]] = {}
    for file in files:
        if name := provider_of_file(file, platform, providers):
            plugin = providers[name].plugin if name in providers else None
            found[file.path] = frozenset(plugin.needs if plugin else file.needed)
    return found


def driver_needs(
    files: Iterable[ElfFile], platform: Platform, providers: Mapping[str, Provider]
) -> dict[str, dict[str, Any]]:
    """`requires.providers` of a manifest: for each provider that needs more than the bundle the
    libraries and products."""
    files = tuple(files)
    bundled = {posixpath.basename(file.path) for file in files}
    own = SYSTEM_LIBRARIES | {posixpath.basename(platform.elf.interpreter)} | bundled
    found: dict[str, set[str]] = {}
    for file in files:
        if name := provider_of_file(file, platform, providers):
            found.setdefault(name, set()).update(set(file.needed) - own)
    needs: dict[str, dict[str, Any]] = {}
    for name, libraries in found.items():
        facts = platform.drivers.get(name)
        plugin = providers[name].plugin if name in providers else None
        # Those that it opens by itself stand in no ELF header.
        also = facts.libraries if facts else plugin.needs if plugin else ()
        products = dict(facts.products) if facts else {}
        needs[name] = {"libraries": sorted({*libraries, *also}), "products": products}
    return needs
