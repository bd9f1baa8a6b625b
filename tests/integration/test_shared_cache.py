"""One cache for several builds, damaged by a disk, or without a home to lie in."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from workbench import SHARED, Edgesmith, copy_digits, edit_project, make_cache, stages_that_ran

# A user that the passwd file does not know; to the kernel it is still the one that runs the test.
NO_HOME = ("unshare", "--map-user=12345", "--map-group=12345", "env", "-u", "HOME")


def bundle_id(edgesmith: Edgesmith) -> str:
    return str(edgesmith.ok("build", "--format", "json").json()["bundles"][0]["id"])


def test_two_builds_at_once_are_both_right(tmp_path: Path, built: Edgesmith) -> None:
    """Each makes all stages at the same time as the other; the Conan home is that of `built`.

    `built` was made without a network: with one it is the same bundle.
    """
    cache = make_cache(tmp_path)
    for name in ("conan", "conan.lock"):
        (cache / name).symlink_to(built.cache / name)
    projects = [tmp_path / name for name in ("one", "two")]
    for project in projects:
        project.mkdir()
    builds = [Edgesmith(folder=copy_digits(project), cache=cache) for project in projects]
    running = [build.start("build", "--format", "json") for build in builds]
    for process in running:
        out, err = process.communicate(timeout=500)
        assert process.returncode == 0, err
        assert json.loads(out)["bundles"][0]["id"] == bundle_id(built)
    third = Edgesmith(folder=copy_digits(tmp_path), cache=cache)
    result = third.ok("build", "--format", "json")
    assert stages_that_ran(result) == set()
    assert result.json()["bundles"][0]["id"] == bundle_id(built)


@pytest.fixture
def own_cache(digits: Edgesmith, tmp_path: Path) -> Edgesmith:
    """The built project, with a copy of the cache that a test may damage."""
    cache = tmp_path / "own-cache"
    cache.mkdir()
    for path in digits.cache.iterdir():
        if path.name in (*SHARED, "conan", "conan.lock"):
            (cache / path.name).symlink_to(path)
        else:
            shutil.copytree(path, cache / path.name)
    return Edgesmith(folder=digits.folder, cache=cache)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


# In the order of a build: a stage that is made again repairs the files it shares with later ones.
STAGES = {
    "export": "export",
    "simplify": "simplify",
    "calibration": "calibration",
    "evaluation": "evaluation",
    "reference": "reference",
    "host/quantize": "quantize",
    "host/project": "generate",
    "host/bundle": "compile",
}


def blobs_of(edgesmith: Edgesmith, folder: str) -> set[Path]:
    """The files in the cache that a stage's result consists of."""
    marker = edgesmith.folder / "build" / "digits" / folder / ".edgesmith.json"
    key = json.loads(marker.read_text())["key"]
    entry = edgesmith.cache / "stages" / key[:2] / f"{key}.json"
    names = [file["sha256"] for file in json.loads(entry.read_text())["files"]]
    return {edgesmith.cache / "blobs" / name[:2] / name for name in names}


@pytest.mark.parametrize("damage", [flip_a_byte, truncate])
def test_a_damaged_cache_entry_is_told_and_made_anew(own_cache: Edgesmith, damage: object) -> None:
    """All files of two entries at once; other entries may share some of them."""
    assert callable(damage)
    before = bundle_id(own_cache)
    blobs = {folder: blobs_of(own_cache, folder) for folder in STAGES}
    hurt = {b for b in blobs["calibration"] | blobs["host/project"] if b.stat().st_size > 0}
    for blob in hurt:
        damage(blob)
    expected = set()
    for folder, own in blobs.items():
        if own & hurt:
            expected.add(STAGES[folder])
            hurt -= own
    own_cache.ok("clean")
    result = own_cache.ok("build", "--format", "json")
    assert {"calibration", "generate"} <= expected == stages_that_ran(result)
    for stage in expected:
        assert f"the cache entry of {stage} is damaged: made anew" in result.err
    assert result.json()["bundles"][0]["id"] == before
    own_cache.ok("clean")
    assert stages_that_ran(own_cache.ok("build", "--format", "json")) == set()


def test_a_damaged_list_of_files_is_no_entry(own_cache: Edgesmith) -> None:
    for place in ("stages", "deps"):
        for path in (own_cache.cache / place).rglob("*.json"):
            truncate(path)
    own_cache.ok("clean")
    assert stages_that_ran(own_cache.ok("export", "--format", "json")) == {"export"}


def test_a_user_without_a_home(digits: Edgesmith) -> None:
    """Neither HOME nor an entry in the passwd file: folders can be named, or it is said."""
    if subprocess.run([*NO_HOME, "true"], capture_output=True).returncode != 0:
        pytest.skip("the kernel refuses a user namespace")
    edit_project(digits.folder, 'version = "1.0.0"', 'version = "1.0.96"')
    alone = Edgesmith(folder=digits.folder, cache=digits.cache, launcher=NO_HOME)
    alone.ok("build")
    unset = ("sh", "-c", 'unset EDGESMITH_CACHE XDG_DATA_HOME XDG_CONFIG_HOME; exec "$@"', "sh")
    lost = Edgesmith(folder=digits.folder, cache=digits.cache, launcher=(*NO_HOME, *unset))
    for command in ("build", "devices", "run", "fetch"):
        result = lost(command)
        assert result.code == 10, result.err
        assert "your user has no home folder" in result.err
        assert "set HOME, or EDGESMITH_CACHE and XDG_DATA_HOME" in result.err


def test_a_cache_that_can_not_be_made(digits: Edgesmith, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    edgesmith = Edgesmith(
        folder=digits.folder, cache=digits.cache, environment={"EDGESMITH_CACHE": f"{file}/cache"}
    )
    for command in ("build", "fetch"):
        result = edgesmith(command)
        assert result.code == 10, result.err
        assert str(file) in result.err and "fix:" in result.err
