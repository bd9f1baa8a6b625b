"""Bundles that differ from a built one in known ways, and are as right as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesmith.bundle.content import sequence_of
from edgesmith.bundle.verify import verify_bundle
from edgesmith.hashing import sha256_file

Change = Callable[[dict[str, Any]], bool]


def another_bundle(bundle: Path, folder: Path, version: str, changed: Change) -> int:
    """A copy of a later version in which the files that `changed` picks have other bytes.

    Trailing bytes change neither what a program nor what a sample file is to those who read it.
    Returns the bytes of the changed files and the manifest.
    """
    shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns("*.tar"))
    manifest = json.loads((folder / "manifest.json").read_text())
    altered = [folder / entry["path"] for entry in manifest["files"] if changed(entry)]
    for file in altered:
        _alter(file, version)
    seal(folder, version)
    return sum(file.stat().st_size for file in (*altered, folder / "manifest.json"))


def seal(folder: Path, version: str) -> str:
    """Makes the manifest right for files that were changed, and a later version; returns the id."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["model"]["version"] = version
    manifest["sequence"] = sequence_of(version)
    for entry in manifest["files"]:
        file = folder / entry["path"]
        entry["bytes"], entry["sha256"] = file.stat().st_size, sha256_file(file)
    release = [entry for entry in manifest["files"] if entry["role"] != "bench"]
    manifest["requires"]["bytes"] = sum(entry["bytes"] for entry in release)
    path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    verify_bundle(folder)
    return sha256_file(path)


def _alter(file: Path, version: str) -> None:
    if file.suffix == ".onnx":
        import onnx

        model = onnx.load(file)
        model.metadata_props.add(key="altered", value=version)
        onnx.save(model, file)
        return
    with file.open("ab") as opened:
        opened.write(version.encode())
