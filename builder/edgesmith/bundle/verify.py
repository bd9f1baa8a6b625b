"""Checks a bundle's folder against its manifest, in both directions."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edgesmith.bundle.content import MANIFEST, SIGNATURES
from edgesmith.bundle.manifest import Manifest, ManifestFile, read_manifest
from edgesmith.errors import IntegrityError
from edgesmith.files import MARKER
from edgesmith.hashing import sha256_file
from edgesmith.values import RECORD


def verify_bundle(folder: Path) -> Manifest:
    """The manifest, when every file is as it says and there is no other.

    Raises IntegrityError that names the file: missing, changed, not listed, or a link.
    """
    manifest = read_manifest(folder)
    present = _regular_files(folder)
    for file in manifest.files:
        _check(folder, file, present)
    ignored = {MANIFEST, MARKER, RECORD, manifest.archive}
    for path in sorted(present - {file.path for file in manifest.files} - ignored):
        if not path.startswith(f"{SIGNATURES}/"):
            raise _finding(folder, path, "is not in the manifest")
    return manifest


def _regular_files(folder: Path) -> set[str]:
    """Paths of all files; a link or device file anywhere is an error."""
    found: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=False):
        for name in [*folders, *files]:
            path = Path(root) / name
            relative = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found.add(relative)
            elif not stat.S_ISDIR(mode):
                raise _finding(folder, relative, "is a link or a device, not a file")
    return found


def _check(folder: Path, file: ManifestFile, present: set[str]) -> None:
    path = folder / file.path
    if file.path not in present:
        raise _finding(folder, file.path, "is missing")
    facts = path.stat()
    if facts.st_size != file.bytes or sha256_file(path) != file.sha256:
        raise _finding(folder, file.path, "was changed: size or SHA-256 differ from the manifest")
    if int(file.mode, 8) & 0o111 and not facts.st_mode & 0o100:
        raise _finding(folder, file.path, "may not be executed, which the manifest says it must")


def _finding(folder: Path, path: str, finding: str) -> IntegrityError:
    return IntegrityError(
        f"{path} {finding}",
        where=str(folder),
        hint="build the bundle anew: edgesmith build",
    )
