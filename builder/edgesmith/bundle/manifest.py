"""Reading a bundle's manifest: any minor of major version 1; unknown fields are ignored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgesmith.bundle.content import MANIFEST, ManifestContent, Role, contradictions
from edgesmith.errors import IntegrityError
from edgesmith.hashing import sha256_bytes
from edgesmith.project.mistakes import validation_mistakes

SCHEMA_VERSION = "1.0"
_SHOWN_MISTAKES = 5


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """A file of the bundle; `path` is relative and has neither `..` nor links in it."""

    path: str
    bytes: int
    sha256: str
    mode: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest that was checked; `id` is the SHA-256 of its bytes, `content` all its fields."""

    id: str
    model_name: str
    model_version: str
    target: str
    platform: str
    default_variant: str
    files: tuple[ManifestFile, ...]
    content: Mapping[str, Any]

    @property
    def archive(self) -> str:
        """Name of the archive beside the manifest; it is no part of the bundle."""
        return archive_name(self.model_name, self.model_version, self.target)


def archive_name(model: str, version: str, target: str) -> str:
    """Name of a bundle's archive."""
    return f"{model}-{version}-{target}.tar"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in `folder`; raises IntegrityError."""
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise _bad(path, "is missing")
    return parse_manifest(path.read_bytes(), path)


def parse_manifest(data: bytes, where: Path) -> Manifest:
    """A manifest from its bytes; raises IntegrityError that names `where` and the field."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(where, f"is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise _bad(where, "is no JSON object")
    version = content.get("schema_version")
    if not isinstance(version, str) or version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise IntegrityError(
            f"the manifest has schema version {version!r}; this edgesmith reads major version"
            f" {SCHEMA_VERSION.split('.')[0]}",
            where=str(where),
            hint="use the edgesmith that made the bundle, or build it anew",
        )
    try:
        checked = ManifestContent.model_validate(content)
    except ValidationError as error:
        raise _wrong(where, [mistake.render() for mistake in validation_mistakes(error)]) from error
    found = contradictions(checked)
    if found:
        raise _wrong(where, found)
    return _manifest(checked, content, sha256_bytes(data))


def _manifest(checked: ManifestContent, content: Mapping[str, Any], identity: str) -> Manifest:
    return Manifest(
        id=identity,
        model_name=checked.model.name,
        model_version=checked.model.version,
        target=checked.target,
        platform=checked.platform,
        default_variant=checked.default_variant,
        files=tuple(ManifestFile(**file.model_dump()) for file in checked.files),
        content=content,
    )


def _wrong(where: Path, mistakes: list[str]) -> IntegrityError:
    shown = mistakes[:_SHOWN_MISTAKES]
    rest = len(mistakes) - len(shown)
    lines = [*shown, *([f"and {rest} more"] if rest else [])]
    return _bad(where, "has fields in a wrong form\n    " + "\n    ".join(lines))


def _bad(where: Path, finding: str) -> IntegrityError:
    return IntegrityError(
        f"the manifest {finding}", where=str(where), hint="build the bundle anew: edgesmith build"
    )
