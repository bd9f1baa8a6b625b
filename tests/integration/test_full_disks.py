"""Disks that fill up: exit code 10, the reason, and nothing half-written."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgesmith.cache import cache_root
from edgesmith.compile.archives import headers_archive
from workbench import SHARED, Edgesmith, Result, edit_project

# Runs the words after the first two with a small disk mounted over a folder; then lists what is
# left there of unfinished work, before the disk goes away with its namespace.
SMALL_DISK = """
mount -t tmpfs -o "size=$1" tmpfs "$2" || exit 99
disk="$2"; shift 2
[ -z "$PUT_THERE" ] || cp -R "$PUT_THERE"/. "$disk"
"$@"
code=$?
find "$disk" -name '.*tmp-*' -o -name '.*old-*' -o -name '.blob-*' -o -name '.download-*' \
  -o -name '.scratch-*' -o -name '.*.json.*' | sed 's/^/LEFT /' >&2
exit $code
"""
NAMESPACE = ("unshare", "--map-root-user", "--mount", "sh", "-c")


@pytest.fixture(autouse=True)
def mounts_allowed(tmp_path: Path) -> None:
    argv = [*NAMESPACE, "mount -t tmpfs tmpfs " + str(tmp_path).replace(" ", "\\ ")]
    if subprocess.run(argv, capture_output=True).returncode != 0:
        pytest.skip("the kernel refuses a mount namespace")


@dataclass(frozen=True, kw_only=True)
class SmallDisk:
    """A disk of `size` over `folder`, with the files of `contents` on it."""

    size: str
    folder: Path
    contents: Path | None = None

    def run(self, edgesmith: Edgesmith, *words: str) -> Result:
        launcher = (*NAMESPACE, SMALL_DISK, "sh", self.size, str(self.folder))
        contents = {"PUT_THERE": str(self.contents or "")}
        return Edgesmith(
            folder=edgesmith.folder,
            cache=edgesmith.cache,
            launcher=launcher,
            environment={**edgesmith.environment, **contents},
        )(*words)


def require_told(result: Result) -> None:
    assert result.code == 10, result.err
    assert "no space left" in result.err.lower()
    assert "free some space on that disk" in result.err
    assert "LEFT" not in result.err


# What fits on the disk decides which stage meets its end: results of those before come from the
# cache, `generate` and what follows are made.
@pytest.mark.parametrize("size", ["200k", "20m", "50m", "75m"])
def test_a_build_folder_that_fills_up(digits: Edgesmith, size: str) -> None:
    edit_project(digits.folder, 'version = "1.0.0"', 'version = "1.0.1"')
    digits.ok("clean")
    (digits.folder / "build").mkdir()
    require_told(SmallDisk(size=size, folder=digits.folder / "build").run(digits, "build"))


@pytest.mark.parametrize("verb", ["export", "quantize"])
def test_a_disk_that_fills_up_under_user_code_and_tools(digits: Edgesmith, verb: str) -> None:
    """Nothing is in the cache: the worker, the exporter and the quantizer meet the end."""
    network = digits.folder / "network.py"
    network.write_text(network.read_text().replace("nn.ReLU()", "nn.LeakyReLU(0.01)"))
    digits.ok("clean")
    (digits.folder / "build").mkdir()
    size = {"export": "300k", "quantize": "1500k"}[verb]
    require_told(SmallDisk(size=size, folder=digits.folder / "build").run(digits, verb))


def test_a_cache_that_fills_up(digits: Edgesmith, tmp_path: Path) -> None:
    """The result is not kept, and so the stage is not done."""
    edit_project(digits.folder, "calibration_samples = 200", "calibration_samples = 199")
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "blobs").symlink_to(blobs)
    for name in (*SHARED, "stages", "deps"):
        source = digits.cache / name
        if name in SHARED:
            (cache / name).symlink_to(source)
        else:
            shutil.copytree(source, cache / name)
    edgesmith = Edgesmith(folder=digits.folder, cache=cache)
    before = sorted((cache / "stages").rglob("*.json"))
    require_told(SmallDisk(size="40k", folder=blobs).run(edgesmith, "quantize"))
    assert sorted((cache / "stages").rglob("*.json")) == before


def test_a_fetch_that_fills_the_disk(digits: Edgesmith, tmp_path: Path) -> None:
    """Archives come from a folder, so that it is the disk that ends it; no half of one stays."""
    kept, index = tmp_path / "kept", tmp_path / "index"
    downloads = cache_root() / "downloads"
    headers = headers_archive().sha256
    shutil.copytree(downloads / headers, kept / "downloads" / headers)
    index.mkdir()
    for folder in downloads.iterdir():
        for archive in folder.iterdir():
            if archive.is_file():
                (index / archive.name).symlink_to(archive)
    cache = tmp_path / "cache"
    cache.mkdir()
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    (kept / "zig").symlink_to(cache_root() / "zig")
    edgesmith = Edgesmith(folder=digits.folder, cache=cache, environment=environment)
    disk = SmallDisk(size="15m", folder=cache, contents=kept)
    require_told(disk.run(edgesmith, "fetch"))
