"""A platform of the project's own whose ONNX Runtime comes from a folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from edgesmith.bundle.verify import verify_bundle
from edgesmith.compile.downloads import fetch
from edgesmith.events import EventStream
from edgesmith.platforms import load_platforms
from workbench import Edgesmith

TARGET = """
[platforms.board]
base = "linux-x86_64"
onnxruntime = "my ort"

[targets.own]
platform = "board"
"""


def write_release(folder: Path, cache: Path) -> None:
    """A folder like that of a release, from the wheel and the headers that are there anyway."""
    platform = load_platforms()["linux-x86_64"]
    there = fetch(platform, cache=cache, offline=True, events=EventStream())
    shutil.copytree(there.headers, folder / "include")
    (folder / "lib").mkdir()
    assert there.runtime_wheel is not None
    with zipfile.ZipFile(there.runtime_wheel) as wheel:
        library = folder / "lib" / "libonnxruntime.so.1.31.1"
        library.write_bytes(wheel.read(platform.runtime.library))
    (folder / "lib" / "libonnxruntime.so").symlink_to(library.name)


@pytest.fixture
def project(digits: Edgesmith) -> Edgesmith:
    write_release(digits.folder / "my ort", digits.cache)
    file = digits.folder / "edgesmith.toml"
    file.write_text(file.read_text() + TARGET)
    return digits


def test_verbs_know_the_platform(project: Edgesmith) -> None:
    told = project.ok("doctor", "--target", "own")
    assert "ONNX Runtime of the project's own: 1.31.1 in" in told.out
    assert "ready: board with zig" in project.ok("fetch", "--target", "own", "--offline").out
    made = project.ok("generate", "--target", "own", "--offline")
    assert "ONNX Runtime 1.31.1 of board is unverified: it comes from" in made.err
    folder = project.folder / "build" / "digits" / "own" / "project"
    assert "nothing verified" in (folder / "README.md").read_text()
    assert "Nothing to do" in project.ok("generate", "--target", "own", "--dry-run").out
    with (project.folder / "my ort" / "include" / "onnxruntime_c_api.h").open("a") as file:
        file.write("// changed\n")
    again = project.ok("generate", "--target", "own", "--dry-run").out
    assert "would run: generate" in again


@pytest.mark.slow
def test_its_bundle_runs_and_says_that_it_is_unverified(project: Edgesmith) -> None:
    made = project.ok("build", "--target", "own")
    assert "ONNX Runtime 1.31.1 of board is unverified: it comes from" in made.err
    folder = project.folder / "build" / "digits" / "own" / "bundle"
    content = verify_bundle(folder).content
    assert content["platform"] == "board"
    assert content["runtime"] == {
        "name": "onnxruntime",
        "version": "1.31.1",
        "wheel_sha256": None,
        "verified": False,
    }
    assert (folder / "licenses" / "onnxruntime" / "UNVERIFIED.txt").is_file()
    assert content["provenance"]["toolchain"].endswith("x86_64-linux-gnu.2.28")
