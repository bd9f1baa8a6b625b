"""A release that fails its self-test never becomes current, and the host hears why."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bundles import seal
from safetensors import safe_open
from safetensors.numpy import save_file
from tiny_release import faults, link

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

    def change(self, version: str, name: str, change: Change) -> str:
        """Changes a file of the bundle, and makes a release of it that is right in itself."""
        change(self.bundle / name)
        for archive in self.bundle.glob("*.tar"):
            archive.unlink()
        return seal(self.bundle, version)


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
    def write(file: Path) -> None:
        file.write_text(f"#!/bin/sh\n{text}\n")

    return write


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
    sick = desk.change("1.0.1", *change)
    failed = desk.digits("flash")
    assert failed.code == 8
    for word in (*words, f"release {first} stays current"):
        assert word in failed.err
    assert (link(desk.model, "current"), link(desk.model, "previous")) == (first, None)
    assert list(faults(desk.model, first)) == []
    assert not (desk.model / "releases" / sick).exists()
    assert not list((desk.model / "releases").glob(".*"))


def test_no_release_is_current_if_the_first_one_fails(desk: Desk) -> None:
    desk.change("1.0.1", *GOLDEN)
    failed = desk.digits("flash")
    assert failed.code == 8
    assert "no release is current" in failed.err
    assert link(desk.model, "current") is None
    assert list((desk.model / "releases").iterdir()) == []
    # The next one is not kept out by what this one left.
    sound = desk.change("1.0.2", *GOLDEN)
    desk.digits.ok("flash")
    assert link(desk.model, "current") == sound
    assert link(desk.model, "previous") is None
    assert list((desk.model / "incoming").iterdir()) == []


def test_a_harness_that_hangs_ends_with_the_flash(desk: Desk, tmp_path: Path) -> None:
    """The installer's own limit is tested with it; here the host gives up before."""
    desk.digits.ok("flash")
    first = link(desk.model, "current")
    pid_file = tmp_path / "pid"
    harness = (desk.bundle / "bin/harness").read_bytes()
    desk.change("1.0.1", "bin/harness", script(f"echo $$ > '{pid_file}'; exec sleep 600"))
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
    assert link(desk.model, "previous") is None
    # The next installation starts as if nothing had been.
    (desk.bundle / "bin/harness").write_bytes(harness)
    sound = seal(desk.bundle, "1.0.2")
    desk.digits.ok("flash")
    assert (link(desk.model, "current"), link(desk.model, "previous")) == (sound, first)
    assert {p.name for p in (desk.model / "releases").iterdir()} == {sound, first}


def is_alive(pid: str) -> bool:
    """An ended process that nobody has noticed yet is not alive."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
