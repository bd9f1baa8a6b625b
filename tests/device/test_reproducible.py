"""The same inputs give the same bytes, wherever project and caches lie."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from edgesmith.cache import cache_root
from workbench import EVERYWHERE, Edgesmith

TARGETS = ("host", "pi", "board")


def archives(edgesmith: Edgesmith) -> dict[str, str]:
    """The SHA-256 of each target's archive."""
    bundles = edgesmith.folder / "build" / "digits"
    found = {t: next((bundles / t / "bundle").glob("*.tar")).read_bytes() for t in TARGETS}
    return {target: hashlib.sha256(data).hexdigest() for target, data in found.items()}


def differing_files(one: Edgesmith, other: Edgesmith) -> list[str]:
    """Paths below the build folder of bundle files that are not the same in both."""
    folder = one.folder / "build" / "digits"
    differing = []
    for target in TARGETS:
        for path in sorted((folder / target / "bundle").rglob("*")):
            name = path.relative_to(one.folder)
            if path.is_file() and not path.name.startswith("."):
                twin = other.folder / name
                same = twin.is_file() and twin.read_bytes() == path.read_bytes()
                differing += [] if same else [str(name)]
    return differing


def build_elsewhere(folder: Path, shared: tuple[str, ...]) -> Edgesmith:
    """The example built in another folder, with nothing in its cache but what is `shared`."""
    cache = folder / "an empty cache"
    cache.mkdir(parents=True)
    for name in shared:
        (cache / name).symlink_to(cache_root() / name)
    project = folder / "some where else" / "project"
    shutil.copytree(EVERYWHERE, project, ignore=shutil.ignore_patterns("build", "reports"))
    edgesmith = Edgesmith(folder=project, cache=cache)
    edgesmith.ok("build", timeout_s=3000)
    return edgesmith


def test_bundles_are_the_same_bytes_with_other_caches(
    everywhere: Edgesmith, tmp_path: Path
) -> None:
    """Zig's own cache is shared: the slow test does without it."""
    again = build_elsewhere(tmp_path, shared=("downloads", "zig"))
    assert differing_files(everywhere, again) == []
    assert archives(everywhere) == archives(again)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_bundles_are_the_same_bytes_with_no_cache_but_downloads(
    everywhere: Edgesmith, tmp_path: Path
) -> None:
    again = build_elsewhere(tmp_path, shared=("downloads",))
    assert differing_files(everywhere, again) == []
    assert archives(everywhere) == archives(again)
