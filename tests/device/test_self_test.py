"""A release that fails its self-test never becomes current, and the host hears why."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from tiny_release import faults, link

from edgesmith.bundle.manifest import sequence_of
from edgesmith.bundle.verify import verify_bundle
from edgesmith.hashing import sha256_file
from workbench import Edgesmith, edit_project

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Desk:
    """The digits example, its bundle and a device of its own."""

    digits: Edgesmith
    root: Path

    @property
    def model(self) -> Path:
        return self.root / "digits"

    @property
    def bundle(self) -> Path:
        return self.digits.folder / "build" / "digits" / "host" / "bundle"

    def change(self, version: str, *changes: tuple[str, Change]) -> str:
        """Changes files of the bundle, and makes a release of it that is right in itself."""
        path = self.bundle / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["model"]["version"] = version
        manifest["sequence"] = sequence_of(version)
        for name, change in changes:
            file = self.bundle / name
            change(file)
            entry = next(f for f in manifest["files"] if f["path"] == name)
            entry["bytes"], entry["sha256"] = file.stat().st_size, sha256_file(file)
        path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        verify_bundle(self.bundle)
        return sha256_file(path)

    def listed(self) -> Any:
        return self.digits.ok("flash", "--list", "--format", "json").json()


@pytest.fixture
def desk(digits: Edgesmith, tmp_path: Path) -> Iterator[Desk]:
    root = tmp_path / "a device"
    edit_project(
        digits.folder, 'transport = "local"', f'transport = "local"\nroot = {json.dumps(str(root))}'
    )
    yield Desk(digits, root)


def negate_outputs(file: Path) -> None:
    with safe_open(file, framework="numpy") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        words = opened.metadata()
    outputs = [name for name in tensors if name.startswith("expected/")]
    assert outputs
    save_file(tensors | {name: -tensors[name] for name in outputs}, file, metadata=words)


def script(text: str) -> Change:
    return lambda file: file.write_text(f"#!/bin/sh\n{text}\n") and None


GOLDEN = ("golden/samples.safetensors", negate_outputs)
CRASH = ("bin/harness", script("echo harness: the golden samples are odd >&2; kill -SEGV $$"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (GOLDEN, ("are not what the golden samples expect", "FAILED", "exit code 8")),
        (CRASH, ("the golden samples are odd", "was ended by Segmentation fault")),
    ],
    ids=["wrong outputs", "crash"],
)
def test_the_release_before_stays_current(
    desk: Desk, change: tuple[str, Change], words: tuple[str, ...]
) -> None:
    desk.digits.ok("flash")
    first = link(desk.model, "current")
    assert first is not None
    sick = desk.change("1.0.1", change)
    failed = desk.digits("flash")
    assert failed.code == 8
    for word in (*words, f"release {first} stays current"):
        assert word in failed.err
    assert (link(desk.model, "current"), link(desk.model, "previous")) == (first, None)
    assert list(faults(desk.model, first)) == [] or only_bench_is_missing(desk.model, first)
    assert not (desk.model / "releases" / sick).exists()
    assert not list((desk.model / "releases").glob(".*"))


def only_bench_is_missing(model: Path, bundle_id: str) -> bool:
    manifest = json.loads((model / "releases" / bundle_id / "manifest.json").read_text())
    release = {f["path"] for f in manifest["files"] if f["role"] not in ("bench", "model")}
    return not any(path in fault for fault in faults(model, bundle_id) for path in release)


def test_no_release_is_current_if_the_first_one_fails(desk: Desk) -> None:
    desk.change("1.0.1", GOLDEN)
    failed = desk.digits("flash")
    assert failed.code == 8
    assert "no release is current" in failed.err
    assert link(desk.model, "current") is None
    assert list((desk.model / "releases").iterdir()) == []
    # The next one is not kept out by what this one left.
    sound = desk.change("1.0.2", (GOLDEN[0], negate_outputs))
    desk.digits.ok("flash")
    assert link(desk.model, "current") == sound
    assert link(desk.model, "previous") is None
    assert list((desk.model / "incoming").iterdir()) == []


def test_a_harness_that_hangs_ends_with_the_flash(desk: Desk, tmp_path: Path) -> None:
    """The installer's own limit is tested with it; here the host gives up before."""
    desk.digits.ok("flash")
    first = link(desk.model, "current")
    pid_file = tmp_path / "pid"
    desk.change("1.0.1", ("bin/harness", script(f"echo $$ > '{pid_file}'; exec sleep 600")))
    flashing = desk.digits.start("flash")
    while not (pid_file.exists() and pid_file.read_text().endswith("\n")):
        assert flashing.poll() is None, flashing.communicate()
        time.sleep(0.05)
    flashing.send_signal(signal.SIGINT)
    flashing.communicate(timeout=60)
    assert flashing.returncode == 130
    while is_alive(pid_file.read_text().strip()):
        time.sleep(0.05)
    assert link(desk.model, "current") == first
    listed = desk.listed()
    assert "1.0.1" not in json.dumps(listed)


def is_alive(pid: str) -> bool:
    """An ended process that nobody has noticed yet is not alive."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
