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
    for name in platform.drivers:
        if base == f"libonnxruntime_providers_{name}.so":
            return name
    for name, provider in providers.items():
        if provider.plugin is not None and folder == provider.plugin.folder:
            return name if provider.plugin.needs else ""
    return ""


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
        also = facts.libraries if facts else ()
        products = dict(facts.products) if facts else {}
        needs[name] = {"libraries": sorted({*libraries, *also}), "products": products}
    return needs
