"""Real tools: edgesmith as a process, on copies of the digits example, in a cache of their own."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgesmith.cache import cache_root

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "examples" / "digits"
# Shared with the user's cache: verified by hash at every use, and expensive to make.
SHARED = ("downloads", "zig")
# Compiling all from an empty cache takes 5 minutes on two free cores, and far more on busy ones.
LIMIT_S = 2400.0
# Short measurements, where a command and not its figures is tested.
QUICK = {
    "EDGESMITH_BENCH__MIN_SECONDS": "0.1",
    "EDGESMITH_BENCH__MIN_ITERATIONS": "50",
    "EDGESMITH_BENCH__PROCESSES": "2",
}


# A shell's background jobs ignore interrupts, and would hand that on. A function between fork and
# exec would do, too, but what libraries that are loaded here do there may crash.
INTERRUPTIBLE = ("env", "--default-signal=INT")


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished `edgesmith`."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Edgesmith:
    """Runs edgesmith in `folder` with the test's own cache and home.

    `launcher` is put before the command line, such as `unshare`.
    """

    folder: Path
    cache: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()

    def env(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith("EDGESMITH_")}
        home = self.cache.parent / "home"
        home.mkdir(exist_ok=True)
        return {
            **keep,
            "EDGESMITH_CACHE": str(self.cache),
            "XDG_DATA_HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PYTHONPATH": str(ROOT / "builder"),
            **self.environment,
        }

    def __call__(self, *words: str | Path, timeout_s: float = LIMIT_S) -> Result:
        argv = [*self.launcher, sys.executable, "-m", "edgesmith", *map(str, words)]
        done = subprocess.run(
            argv, cwd=self.folder, env=self.env(), capture_output=True, text=True, timeout=timeout_s
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return Result(code=done.returncode, out=done.stdout, err=done.stderr)

    def ok(self, *words: str | Path, timeout_s: float = LIMIT_S) -> Result:
        result = self(*words, timeout_s=timeout_s)
        assert result.code == 0, result.out + result.err
        return result

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        argv = [*INTERRUPTIBLE, *self.launcher, sys.executable, "-m", "edgesmith", *map(str, words)]
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.env(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def stages_that_ran(result: Result) -> set[str]:
    """Names of the stages that a `--format json` result says had to run."""
    return {s["stage"] for s in result.json()["stages"] if s["status"] == "ran"}


def make_cache(folder: Path) -> Path:
    """An empty cache whose downloads are the user's."""
    cache = folder / "cache"
    cache.mkdir()
    for name in SHARED:
        shared = cache_root() / name
        shared.mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to(shared)
    return cache


def copy_digits(folder: Path) -> Path:
    """A copy of the example, in a folder with a space in its name."""
    project = folder / "my digits"
    shutil.copytree(DIGITS, project, ignore=shutil.ignore_patterns("build", "reports"))
    return project


def edit_project(project: Path, old: str, new: str) -> None:
    """Replaces `old`, which must be there, in the project file."""
    file = project / "edgesmith.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


NO_NETWORK = ("unshare", "--map-root-user", "--net")


@functools.cache
def network_can_be_cut() -> bool:
    """Whether the kernel lets us make a network namespace, which has no interface."""
    return subprocess.run([*NO_NETWORK, "true"], capture_output=True).returncode == 0


@dataclass(frozen=True, kw_only=True)
class FirstBuild:
    """The build of an empty cache: what `fetch` left there, how it was run, what it told."""

    edgesmith: Edgesmith
    fetched: frozenset[str]
    launcher: tuple[str, ...]
    result: Any


EVERYWHERE = ROOT / "examples" / "digits-everywhere"
# What may not be needed: a system's own compilers, and Node.js.
COMPILERS = re.compile(
    r"(.*-)?(gcc|g\+\+|cc|c\+\+|clang|clang\+\+|cpp|ld|ld\.\w+|lld|as|ar|ranlib|node|nodejs|npm|npx"
    r"|zig|cmake|ninja|make|conan)(-[\d.]+)?"
)
# Owned files stay reachable; the process is an ordinary user's.
NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def without_compilers(folder: Path) -> str:
    """A PATH on which everything of the system is, except what builds programs."""
    folder.mkdir()
    for source in (Path("/usr/bin"), Path("/usr/sbin")):
        for program in source.iterdir():
            link = folder / program.name
            if not COMPILERS.fullmatch(program.name) and not link.exists():
                link.symlink_to(program)
    return str(folder)


@functools.cache
def root_can_be_dropped() -> bool:
    """Whether the kernel lets us make a user namespace in which we are another user."""
    return subprocess.run([*NOT_ROOT, "true"], capture_output=True).returncode == 0
