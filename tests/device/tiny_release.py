"""Releases of a few bytes with true hashes, and what must hold of a device that has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PASSING_HARNESS = b"#!/bin/sh\nexit 0\n"
ROOT_NAMES = {"incoming", "releases", "current", "previous", "lock", "installer"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class TinyFile:
    path: str
    data: bytes
    role: str
    mode: int = 0o644


@dataclass(frozen=True)
class TinyRelease:
    """What a bundle of these files is called, and how its manifest reads."""

    sequence: int
    files: tuple[TinyFile, ...]
    model: str = "tiny"

    @property
    def manifest(self) -> bytes:
        listed = [
            {
                "path": f.path,
                "bytes": len(f.data),
                "sha256": sha256(f.data),
                "mode": f"{f.mode:04o}",
                "role": f.role,
            }
            for f in self.files
        ]
        document = {
            "schema_version": "1.0",
            "model": {"name": self.model, "version": f"1.0.{self.sequence}"},
            "sequence": self.sequence,
            "target": "host",
            "platform": "linux-x86_64",
            "variants": [{"name": "int8", "path": "model/int8.onnx", "threads": 1}],
            "default_variant": "int8",
            "metrics": ["top1"],
            "files": listed,
        }
        return json.dumps(document).encode()

    @property
    def id(self) -> str:
        return sha256(self.manifest)

    def file(self, path: str) -> TinyFile:
        return next(f for f in self.files if f.path == path)


def tiny_release(
    sequence: int, *, model: str = "tiny", harness: bytes = PASSING_HARNESS
) -> TinyRelease:
    """Releases share the harness and the library; each has its own installer and model."""
    files = (
        TinyFile("bin/harness", harness, "app", 0o755),
        TinyFile("bin/installer", b"installer of %d\n" % sequence, "app", 0o755),
        TinyFile("lib/libruntime.so.1", b"the runtime\n", "runtime"),
        TinyFile("model/int8.onnx", b"%s %d\n" % (model.encode(), sequence), "model"),
    )
    return TinyRelease(sequence, files, model)


def send(root: Path, release: TinyRelease, *, only: frozenset[str] | None = None) -> None:
    """Does what a transport does: the manifest, and the files whose hash is in `only`."""
    incoming = root / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    (incoming / f"{release.id}.manifest.json").write_bytes(release.manifest)
    for file in release.files:
        if only is None or sha256(file.data) in only:
            (incoming / sha256(file.data)).write_bytes(file.data)


def link(root: Path, name: str) -> str | None:
    """The id that a link names; it must name something below releases/."""
    path = root / name
    if not path.is_symlink():
        return None
    folder, _, bundle_id = str(path.readlink()).partition("/")
    assert folder == "releases", path.readlink()
    return bundle_id


def faults(root: Path, bundle_id: str) -> Iterator[str]:
    """What is wrong with an installed release, found without the installer."""
    folder = root / "releases" / bundle_id
    manifest = folder / "manifest.json"
    if not manifest.is_file() or sha256(manifest.read_bytes()) != bundle_id:
        yield f"{bundle_id[:8]}: its manifest is missing or is not it"
        return
    for file in json.loads(manifest.read_bytes())["files"]:
        if file["role"] == "bench":
            continue
        path = folder / file["path"]
        if not path.is_file() or sha256(path.read_bytes()) != file["sha256"]:
            yield f"{bundle_id[:8]}: {file['path']} is missing or differs"
        elif path.stat().st_mode & 0o777 != int(file["mode"], 8):
            yield f"{bundle_id[:8]}: {file['path']} has another mode"


def leftovers(root: Path) -> set[str]:
    """What no installation leaves behind."""
    kept = {link(root, "current"), link(root, "previous")}
    left = {p.name for p in root.iterdir()} - ROOT_NAMES
    left |= {p.name for p in (root / "incoming").iterdir()}
    return left | {p.name for p in (root / "releases").iterdir() if p.name not in kept}
