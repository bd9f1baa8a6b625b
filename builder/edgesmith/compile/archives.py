"""The third-party archives that a build needs, each pinned by its SHA-256."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from edgesmith.platforms import Platform, RuntimeFacts

Channel = Literal["wheel", "sdist", "npm"]
LICENCE_FILE = "LICENSE"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive of a package index.

    `file` is its file name; `folder` and `licence` are paths inside the archive. `files` pins
    the files below `folder` that are used, and `licence_sha256` the licence, where the archive
    itself is not kept.
    `wheel_platform` chooses among wheels. `content_version` is that of what
    is taken out, where it is not the archive's own.
    """

    channel: Channel
    package: str
    version: str
    sha256: str
    file: str
    folder: str = ""
    licence: str = ""
    licence_sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    wheel_platform: str = ""
    content_version: str = ""

    @property
    def title(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def kept_files(self) -> Mapping[str, tuple[str, str]]:
        """Of an archive that is not kept itself: path inside -> (name it is kept by, SHA-256)."""
        kept = {f"{self.folder}/{name}": (name, sha256) for name, sha256 in self.files.items()}
        if self.licence:
            kept[self.licence] = (LICENCE_FILE, self.licence_sha256)
        return kept

    @property
    def requirement(self) -> str:
        """The line of a pip requirements file that accepts these bytes only."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n"


@dataclass(frozen=True, kw_only=True)
class Archives:
    """All archives that a platform's build needs; a runtime from a folder needs none."""

    runtime: Archive | None
    headers: Archive
    json: Archive
    sodium: Archive
    wuffs: Archive

    def all(self) -> tuple[Archive, ...]:
        own = () if self.runtime is None else (self.runtime,)
        return (*own, self.headers, self.json, self.sodium, self.wuffs)


@functools.cache
def _common() -> Mapping[str, Archive]:
    text = resources.files("edgesmith.compile").joinpath("downloads.toml").read_text("utf-8")
    return MappingProxyType({k: _archive(v) for k, v in tomllib.loads(text).items()})


def _archive(table: dict[str, Any]) -> Archive:
    return Archive(**{**table, "files": MappingProxyType(table.get("files", {}))})


def headers_archive() -> Archive:
    """The archive of ONNX Runtime's headers, the same for every platform."""
    return _common()["headers"]


def archives_for(platform: Platform) -> Archives:
    """The pinned archives of `platform`."""
    common = _common()
    return Archives(
        runtime=None if platform.runtime.folder else _wheel(platform.runtime),
        headers=common["headers"],
        json=common["json"],
        sodium=common["sodium"],
        wuffs=common["wuffs"],
    )


def _wheel(runtime: RuntimeFacts) -> Archive:
    name = re.sub(r"[-.]+", "_", runtime.package)
    return Archive(
        channel="wheel",
        package=runtime.package,
        version=runtime.version,
        sha256=runtime.wheel_sha256,
        file=f"{name}-{runtime.version}-{runtime.wheel_tag}-{runtime.wheel_platform}.whl",
        files=runtime.files,
        wheel_platform=runtime.wheel_platform,
        content_version=runtime.library_version,
    )
