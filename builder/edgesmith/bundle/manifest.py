"""Reading a bundle's manifest: any minor of major version 1; unknown fields are ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast, get_args

from edgesmith.errors import IntegrityError
from edgesmith.hashing import sha256_bytes

MANIFEST = "manifest.json"
SCHEMA_VERSION = "1.0"
SIGNATURES = "signatures"
Role = Literal["app", "runtime", "model", "golden", "bench", "licence"]
ROLES: tuple[str, ...] = get_args(Role)
RELEASE_ROLES = tuple(role for role in ROLES if role != "bench")

_MODE = re.compile(r"0[0-7]{3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_PATH_BYTES = 255


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
    except ValueError as error:
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
        return _manifest(content, sha256_bytes(data))
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(where, f"lacks a field or has it in a wrong form: {error}") from error


def _manifest(content: Mapping[str, Any], identity: str) -> Manifest:
    files = tuple(_file(entry) for entry in content["files"])
    paths = [file.path for file in files]
    if len(set(paths)) != len(paths):
        raise ValueError("files: the same path twice")
    if content["default_variant"] not in [v["name"] for v in content["variants"]]:
        raise ValueError("default_variant names no variant")
    return Manifest(
        id=identity,
        model_name=_text(content["model"]["name"]),
        model_version=_text(content["model"]["version"]),
        target=_text(content["target"]),
        platform=_text(content["platform"]),
        default_variant=_text(content["default_variant"]),
        files=files,
        content=content,
    )


def _text(value: object) -> str:
    """A name that also serves in a file's name."""
    if not isinstance(value, str) or not value or "/" in value or value.startswith("."):
        raise ValueError(f"{value!r} is no name")
    return value


def _file(entry: Mapping[str, Any]) -> ManifestFile:
    path, size = entry["path"], entry["bytes"]
    if not is_safe_path(path):
        raise ValueError(f"files: path {path!r}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValueError(f"files: bytes of {path}")
    if not _SHA256.fullmatch(entry["sha256"]) or not _MODE.fullmatch(entry["mode"]):
        raise ValueError(f"files: sha256 or mode of {path}")
    if entry["role"] not in ROLES:
        raise ValueError(f"files: role {entry['role']!r} of {path}")
    return ManifestFile(
        path=path,
        bytes=size,
        sha256=entry["sha256"],
        mode=entry["mode"],
        role=cast(Role, entry["role"]),
    )


def is_safe_path(path: object) -> bool:
    """Whether a manifest may name this path: relative, plain, below the bundle's folder."""
    if not isinstance(path, str) or not path or "\\" in path or not path.isprintable():
        return False
    pure = PurePosixPath(path)
    plain = not pure.is_absolute() and pure.as_posix() == path and ".." not in pure.parts
    reserved = path == MANIFEST or pure.parts[:1] == (SIGNATURES,)
    return plain and path != "." and not reserved and len(path.encode()) <= _MAX_PATH_BYTES


def _bad(where: Path, finding: str) -> IntegrityError:
    return IntegrityError(
        f"the manifest {finding}", where=str(where), hint="build the bundle anew: edgesmith build"
    )
