"""What integration and device tests share: the digits example, built once in a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesmith.generate.request import GenerateRequest
from takeaway import make_bundle, make_request
from workbench import (
    EVERYWHERE,
    NO_NETWORK,
    NOT_ROOT,
    Edgesmith,
    FirstBuild,
    copy_digits,
    make_cache,
    network_can_be_cut,
    root_can_be_dropped,
    without_compilers,
)


@pytest.fixture
def no_network() -> tuple[str, ...]:
    """The launcher of a process that has no network."""
    if not network_can_be_cut():
        pytest.skip("the kernel refuses a network namespace")
    return NO_NETWORK


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("session"))


@pytest.fixture(scope="session")
def first_build(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> FirstBuild:
    """After a fetch, and without a network where it can be cut: test_offline.py looks at it."""
    edgesmith = Edgesmith(folder=copy_digits(tmp_path_factory.mktemp("built")), cache=session_cache)
    edgesmith.ok("fetch")
    fetched = frozenset(path.name for path in session_cache.iterdir())
    launcher = NO_NETWORK if network_can_be_cut() else ()
    alone = Edgesmith(folder=edgesmith.folder, cache=session_cache, launcher=launcher)
    result = alone.ok("build", "--offline", "--format", "json").json()
    return FirstBuild(edgesmith=edgesmith, fetched=fetched, launcher=launcher, result=result)


@pytest.fixture(scope="session")
def built(first_build: FirstBuild) -> Edgesmith:
    """The digits example, built once; tests must not change it."""
    return first_build.edgesmith


@pytest.fixture(scope="session")
def static_installer(built: Edgesmith) -> Path:
    """The program of the built bundle that installs releases on devices."""
    return built.folder / "build" / "digits" / "host" / "bundle" / "bin" / "installer"


@pytest.fixture(scope="session")
def hostile_request(tmp_path_factory: pytest.TempPathFactory, built: Edgesmith) -> GenerateRequest:
    """A model with hostile names, and all that its project is generated from.

    Made after the first build, which wants the cache empty.
    """
    return make_request(tmp_path_factory.mktemp("model"), built.cache)


@pytest.fixture(scope="session")
def hostile_bundle(
    tmp_path_factory: pytest.TempPathFactory, hostile_request: GenerateRequest, session_cache: Path
) -> Path:
    """Its bundle; tests must not change it."""
    folder = tmp_path_factory.mktemp("first") / "a folder"
    make_bundle(folder, hostile_request, session_cache)
    return folder / "bundle"


@pytest.fixture
def digits(tmp_path: Path, built: Edgesmith) -> Iterator[Edgesmith]:
    """A fresh copy of the built project that a test may change; its cache is the session's."""
    project = tmp_path / "my digits"
    shutil.copytree(built.folder, project, symlinks=True)
    yield Edgesmith(folder=project, cache=built.cache)


@pytest.fixture(scope="session")
def everywhere(tmp_path_factory: pytest.TempPathFactory, built: Edgesmith) -> Edgesmith:
    """examples/digits-everywhere, built once for its three platforms; tests must not change it.

    Built without a compiler on the PATH and, where the kernel lets us, by an ordinary user.
    """
    folder = tmp_path_factory.mktemp("everywhere")
    project = folder / "digits"
    shutil.copytree(EVERYWHERE, project, ignore=shutil.ignore_patterns("build", "reports"))
    launcher = NOT_ROOT if os.geteuid() == 0 and root_can_be_dropped() else ()
    edgesmith = Edgesmith(
        folder=project,
        cache=built.cache,
        environment={"PATH": without_compilers(folder / "path")},
        launcher=launcher,
    )
    edgesmith.ok("build", timeout_s=1800)
    return edgesmith
