"""Two models under one root of a device: what happens to one does not touch the other."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bundles import seal
from interrupted import install_all, links, run, run_ok, send_needed
from tiny_release import PASSING_HARNESS, TinyRelease, faults, leftovers, link, send, tiny_release

from workbench import Edgesmith, edit_project

FAILING_HARNESS = b"#!/bin/sh\nexit 1\n"
ROUNDS = 20


def releases_of(model: str) -> tuple[TinyRelease, TinyRelease, TinyRelease]:
    """The same harness and library, so that there is something to share."""
    first, second, third = (tiny_release(n, model=model) for n in (1, 2, 3))
    return first, second, third


CATS, DOGS = releases_of("cats"), releases_of("dogs")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    return tmp_path / "device"


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is below a folder: kinds, permissions, contents, where links point."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            content = str(path.readlink()).encode()
        else:
            content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def test_installing_and_going_back(device: Path, static_installer: Path) -> None:
    cats, dogs = device / "cats", device / "dogs"
    install_all(static_installer, cats, *CATS[:2])
    before = tree(cats)
    install_all(static_installer, dogs, *DOGS)
    run_ok(static_installer, "rollback", dogs)
    assert tree(cats) == before
    assert links(dogs) == (DOGS[1].id, DOGS[2].id)
    before = tree(dogs)
    run_ok(static_installer, "rollback", cats)
    assert links(cats) == (CATS[0].id, CATS[1].id)
    assert tree(dogs) == before
    for root, releases in ((cats, CATS[:2]), (dogs, DOGS[1:])):
        listed = json.loads(run_ok(static_installer, "list", root, "--json"))
        assert {r["id"] for r in listed["releases"]} == {r.id for r in releases}
        assert {r["model"] for r in listed["releases"]} == {root.name}
        run_ok(static_installer, "verify", root)


def test_what_came_in_for_one_waits_while_the_other_installs(
    device: Path, static_installer: Path
) -> None:
    cats, dogs = device / "cats", device / "dogs"
    install_all(static_installer, cats, CATS[0])
    send(dogs, DOGS[0])
    (dogs / "incoming" / "half.part").write_bytes(b"half")
    before = tree(dogs)
    send_needed(static_installer, cats, CATS[1])
    run_ok(static_installer, "install", cats, CATS[1].id)
    assert tree(dogs) == before
    run_ok(static_installer, "install", dogs, DOGS[0].id)
    assert leftovers(dogs) == set()


def test_nothing_is_shared_between_models(device: Path, static_installer: Path) -> None:
    """Both have the same library; a model's folder may be removed as a whole."""
    cats, dogs = device / "cats", device / "dogs"
    install_all(static_installer, cats, CATS[0])
    send(dogs, DOGS[0], only=frozenset())
    needed = run_ok(static_installer, "need", dogs, DOGS[0].id).split()
    assert len(needed) == len(DOGS[0].files)
    install_all(static_installer, dogs, *DOGS[:2])
    shutil.rmtree(cats)
    run_ok(static_installer, "verify", dogs)
    run_ok(static_installer, "rollback", dogs)
    assert list(faults(dogs, DOGS[0].id)) == []


def test_a_failing_self_test_is_one_models_own(device: Path, static_installer: Path) -> None:
    cats, dogs = device / "cats", device / "dogs"
    install_all(static_installer, cats, *CATS[:2])
    before = tree(cats)
    sick = tiny_release(1, model="dogs", harness=FAILING_HARNESS)
    send(dogs, sick)
    assert run(static_installer, "install", dogs, sick.id).returncode == 8
    assert links(dogs) == (None, None)
    assert tree(cats) == before


def test_one_lock_a_model(device: Path, static_installer: Path) -> None:
    cats, dogs = device / "cats", device / "dogs"
    install_all(static_installer, cats, CATS[0])
    send(cats, CATS[1])
    with (cats / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        install_all(static_installer, dogs, DOGS[0])
        for verb, *words in (("install", CATS[1].id), ("need", CATS[1].id), ("rollback",)):
            busy = run(static_installer, verb, cats, *words)
            assert busy.returncode == 6
            assert f"another installation is at work in {cats}" in busy.stderr
    run_ok(static_installer, "install", cats, CATS[1].id)


def test_two_at_the_same_time(device: Path, static_installer: Path) -> None:
    def flash(model: str) -> None:
        root = device / model
        for number in range(1, ROUNDS + 1):
            release = tiny_release(number, model=model)
            send_needed(static_installer, root, release)
            run_ok(static_installer, "install", root, release.id)

    # Both folders are made by the one that comes first; a third may not be in the way.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(flash, ("cats", "dogs")))
    for model in ("cats", "dogs"):
        last, before = (tiny_release(n, model=model).id for n in (ROUNDS, ROUNDS - 1))
        assert links(device / model) == (last, before)
        assert [w for i in (last, before) for w in faults(device / model, i)] == []


def test_two_flashers_of_one_model(device: Path, static_installer: Path, tmp_path: Path) -> None:
    """The second is told that the first is at work; nothing is mixed up."""
    root, going = device / "cats", tmp_path / "going"
    waits = f"#!/bin/sh\n: > '{going}'\nwhile [ -e '{going}' ]; do sleep 0.05; done\n".encode()
    slow = tiny_release(1, model="cats", harness=waits)
    send(root, slow)
    argv = [str(static_installer), "install", str(root), slow.id]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        while not going.exists():
            assert first.poll() is None
        second = tiny_release(2, model="cats", harness=PASSING_HARNESS)
        send(root, second)
        assert run(static_installer, "install", root, second.id).returncode == 6
        going.unlink()
        _, said = first.communicate(timeout=60)
        assert first.returncode == 0, said
    assert links(root) == (slow.id, None)
    send(root, second)
    run_ok(static_installer, "install", root, second.id)
    assert links(root) == (second.id, slow.id)


def renamed(digits: Edgesmith, folder: Path, name: str) -> Edgesmith:
    """The project with its bundle, under another model's name."""
    shutil.copytree(digits.folder, folder, symlinks=True)
    edit_project(folder, 'name = "digits"', f'name = "{name}"')
    (folder / "build" / "digits").rename(folder / "build" / name)
    bundle = folder / "build" / name / "host" / "bundle"
    for archive in bundle.glob("*.tar"):
        archive.unlink()
    manifest = bundle / "manifest.json"
    document = json.loads(manifest.read_text())
    document["model"]["name"] = name
    manifest.write_text(json.dumps(document))
    seal(bundle, "2.0.0")
    return Edgesmith(folder=folder, cache=digits.cache)


def test_two_projects_flash_one_device(device: Path, digits: Edgesmith, tmp_path: Path) -> None:
    root = f'transport = "local"\nroot = {json.dumps(str(device))}'
    edit_project(digits.folder, 'transport = "local"', root)
    projects = {"digits": digits, "other": renamed(digits, tmp_path / "other", "other")}
    flashing = [project.start("flash") for project in projects.values()]
    for one in flashing:
        out, err = one.communicate(timeout=300)
        assert one.returncode == 0, out + err
    for name, project in projects.items():
        (listed,) = project.ok("flash", "--list", "--format", "json").json()["devices"]
        (release,) = listed["releases"]
        assert release["id"] == link(device / name, "current")
        assert leftovers(device / name) == set()
    before = tree(device / "digits")
    assert projects["other"]("flash", "--rollback").code == 7
    assert tree(device / "digits") == before
