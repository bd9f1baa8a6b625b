"""What flash and bench read from a bundle: its manifest, after the whole folder was verified."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.errors import IntegrityError, UsageError
from edgesmith.hashing import sha256_bytes

MANIFEST = "manifest.json"
INSTALLER = "bin/installer"
BENCH_ROLE = "bench"
_MODEL_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class BundleFile:
    """A file of the bundle; `path` is relative to its folder, `mode` its permission bits."""

    path: str
    bytes: int
    sha256: str
    mode: int
    role: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """A verified bundle: its folder, the id and what the manifest says."""

    folder: Path
    id: str
    model: str
    version: str
    target: str
    default_variant: str
    variants: tuple[Mapping[str, Any], ...]
    metrics: tuple[str, ...]
    files: tuple[BundleFile, ...]
    requires: Mapping[str, Any]
    runtime: Mapping[str, Any]
    provenance: Mapping[str, Any]
    manifest_bytes: int
    providers: tuple[str, ...] = ("cpu",)

    @property
    def installed_files(self) -> tuple[BundleFile, ...]:
        """What stays on the device."""
        return tuple(f for f in self.files if f.role != BENCH_ROLE)

    @property
    def bench_files(self) -> tuple[BundleFile, ...]:
        """What is only sent to measure."""
        return tuple(f for f in self.files if f.role == BENCH_ROLE)

    @property
    def release_bytes(self) -> int:
        return sum(f.bytes for f in self.installed_files)

    def file(self, path: str) -> BundleFile:
        """The file of that path; raises IntegrityError when the bundle has none."""
        for one in self.files:
            if one.path == path:
                return one
        raise IntegrityError(
            f"the bundle has no {path}",
            where=str(self.folder / MANIFEST),
            hint=f"build it anew: edgesmith build --target {self.target}",
        )


def open_release(folder: Path, *, target: str) -> Release:
    """The bundle of `target` in `folder`, every file of it verified.

    Raises UsageError when there is none, IntegrityError naming the file that is not right.
    """
    from edgesmith.bundle.verify import verify_bundle

    path = folder / MANIFEST
    if not folder.exists():
        raise UsageError(
            f"there is no bundle for target '{target}'",
            where=str(folder),
            hint=f"build first: edgesmith build --target {target}",
        )
    verify_bundle(folder)
    release = _read(folder, path.read_bytes())
    if release.target != target:
        raise IntegrityError(
            f"the bundle is for target '{release.target}', not for '{target}'",
            where=str(path),
            hint=f"build it anew: edgesmith build --target {target}",
        )
    return release


def _read(folder: Path, text: bytes) -> Release:
    try:
        return _release(folder, json.loads(text), text)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"the manifest lacks something or has it in a wrong form: {error}",
            where=str(folder / MANIFEST),
            hint="build the bundle anew: edgesmith build",
        ) from error


def _release(folder: Path, manifest: Mapping[str, Any], text: bytes) -> Release:
    model = manifest["model"]["name"]
    if not _MODEL_NAME.fullmatch(model):
        raise ValueError(f"model.name {model!r}")
    return Release(
        folder=folder,
        id=sha256_bytes(text),
        model=model,
        version=str(manifest["model"]["version"]),
        target=str(manifest["target"]),
        default_variant=str(manifest["default_variant"]),
        variants=tuple(manifest["variants"]),
        metrics=tuple(manifest.get("metrics", ())),
        files=tuple(_file(f) for f in manifest["files"]),
        requires=dict(manifest["requires"]),
        runtime=dict(manifest["runtime"]),
        provenance=dict(manifest.get("provenance", {})),
        manifest_bytes=len(text),
        providers=tuple(manifest.get("providers") or ("cpu",)),
    )


def _file(entry: Mapping[str, Any]) -> BundleFile:
    return BundleFile(
        path=entry["path"],
        bytes=int(entry["bytes"]),
        sha256=entry["sha256"],
        mode=int(entry["mode"], 8),
        role=entry["role"],
    )
