"""edgesmith's own Conan home, and the installation of a project's dependencies from it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.compile.tools import build_environment, program
from edgesmith.errors import ToolchainError
from edgesmith.events import EventStream
from edgesmith.files import host_file_errors
from edgesmith.process import Command, run

REMOTE = "edgesmith"
ABI_CONF = "user.edgesmith:abi"
RUNTIME_RECIPE = "edgesmith-runtime"
_TIMEOUT_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class InstalledDependencies:
    """What Conan made available: references of all packages, and the ABI they were built for."""

    toolchain_file: Path
    references: tuple[str, ...]
    abi: str


@contextmanager
def locked_home(cache: Path, events: EventStream) -> Iterator[Path]:
    """The Conan home below `cache`, which no other edgesmith uses meanwhile.

    A Conan home is not safe for two builds at once. Raises HostFileError.
    """
    home = cache / "conan"
    with host_file_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        # Conan prefers a .conanrc of any parent folder to CONAN_HOME: this one is found first.
        (home / ".conanrc").write_text("conan_home=./\n")
        lock = (cache / "conan.lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            events.info("waiting for another edgesmith that uses the Conan home")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


def install_dependencies(
    project: Path,
    output: Path,
    *,
    cache: Path,
    events: EventStream,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> InstalledDependencies:
    """`conan install` of a generated project, building what is not in the home yet.

    `environment` holds variables that the compiler is given besides our own.

    Raises ToolchainError with Conan's output when it fails.
    """
    graph = output / "graph.json"
    with locked_home(cache, events) as home:
        if not (home / "remotes.json").exists():
            _conan(("remote", "remove", "*"), home, cache, events)
        index = f"{project / 'conan' / 'index'}"
        _conan(
            ("remote", "add", REMOTE, index, "--type=local-recipes-index", "--force"),
            home,
            cache,
            events,
        )
        profiles = project / "conan" / "profiles"
        install = (
            "install",
            f"{project}",
            f"--output-folder={output}",
            f"--remote={REMOTE}",
            "--build=missing",
            f"--profile:build={profiles / 'build'}",
            f"--profile:host={profiles / 'host'}",
            "--format=json",
            f"--out-file={graph}",
        )
        _conan(install, home, cache, events, environment=environment, on_line=on_line)
    nodes: Mapping[str, Any] = json.loads(graph.read_text())["graph"]["nodes"]
    packages = [n for n in nodes.values() if n["ref"] and n["recipe"] != "Consumer"]
    return InstalledDependencies(
        toolchain_file=output / "conan_toolchain.cmake",
        references=tuple(sorted(n["ref"].split("#")[0] for n in packages)),
        abi=_abi(packages),
    )


def _abi(packages: list[Mapping[str, Any]]) -> str:
    for node in packages:
        if node["name"] == RUNTIME_RECIPE:
            return str(node["info"]["conf"][ABI_CONF])
    raise ToolchainError(
        f"the project does not require {RUNTIME_RECIPE}",
        where="conanfile.py",
        hint="generate the project anew: edgesmith generate",
    )


def _conan(
    arguments: Sequence[str],
    home: Path,
    cache: Path,
    events: EventStream,
    *,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    command = Command(
        argv=[program("conan"), *arguments],
        purpose=f"conan {arguments[0]}",
        hint="see the output above; `edgesmith doctor` checks the tools",
        timeout_s=_TIMEOUT_S,
        cwd=home,
        env={**build_environment(cache), **(environment or {})},
    )
    run(command, events=events, on_line=on_line)
