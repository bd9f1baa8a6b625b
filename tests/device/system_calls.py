"""Runs a program under strace: what it asks of the file system, and what if that fails or ends it.

Only the program itself is traced, not what it starts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pytest

# Calls about files that change nothing. Whatever is not among them is taken to change something.
_HARMLESS = """
    access close dup dup2 dup3 execve faccessat fcntl fstat fstatfs getdents64 ioctl lseek lstat
    mmap mmap2 munmap newfstatat pread64 pselect6 poll read readlink readlinkat readv stat statfs
    statx uname writev
""".split()  # noqa: SIM905
_OPENING = ("open", "openat")
_LINE = re.compile(r"^(?P<name>\w+)\((?P<rest>.*)\)\s+= (?P<result>\S.*)$")
# A descriptor's path, a name, or a name below a descriptor.
_PATH = re.compile(r'(?:\b\d+<(?P<folder>[^>]*)>)?(?:(?:, )?"(?P<name>(?:[^"\\]|\\.)*)")?')


@dataclass(frozen=True)
class Call:
    """A system call that was made; `nth` counts those of its name, from 1."""

    name: str
    nth: int
    paths: tuple[str, ...]
    words: str
    result: str

    @property
    def succeeded(self) -> bool:
        return not self.result.startswith("-1") and not self.result.startswith("?")

    @property
    def changes_files(self) -> bool:
        if self.name in _OPENING:
            return "O_CREAT" in self.words or "O_TRUNC" in self.words
        return self.name not in _HARMLESS

    def __str__(self) -> str:
        names = ", ".join(Path(p).name[:20] for p in self.paths)
        return f"{self.name}#{self.nth}({names})"


@dataclass(frozen=True, kw_only=True)
class Traced:
    returncode: int
    stderr: str
    calls: tuple[Call, ...]


def require_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")


def trace(
    argv: Sequence[str | Path],
    log: Path,
    *,
    calls: str = "file,desc",
    inject: Sequence[str] = (),
    follow: bool = False,
) -> Traced:
    """Runs `argv`; `inject` are strace's expressions, such as "fsync:error=EIO:when=2"."""
    words = ["strace", "-qq", "-y", "-s", "4096", "-o", str(log), "-e", f"trace={calls}"]
    words += ["-f"] if follow else []
    words += [w for one in inject for w in ("-e", f"inject={one}")]
    done = subprocess.run(
        [*words, *map(str, argv)], capture_output=True, text=True, timeout=120, errors="replace"
    )
    return Traced(
        returncode=done.returncode, stderr=done.stderr, calls=tuple(_calls(log.read_text()))
    )


def names_of(calls: Sequence[Call]) -> str:
    """What to trace for strace to show again those of these calls that change files."""
    return ",".join(sorted({c.name for c in calls if c.changes_files}))


def _calls(log: str) -> list[Call]:
    seen: Counter[str] = Counter()
    found = []
    for line in log.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, rest, result = match["name"], match["rest"], match["result"]
        seen[name] += 1
        # What is written is no name.
        words = rest.partition(",")[0] if name.startswith(("write", "pwrite")) else rest
        found.append(Call(name, seen[name], tuple(_paths(words)), rest, result))
    return found


def _paths(words: str) -> Iterator[str]:
    for match in _PATH.finditer(words):
        folder, name = match["folder"], match["name"]
        if folder is not None or name is not None:
            yield str(PurePath(folder or "", name or ""))
