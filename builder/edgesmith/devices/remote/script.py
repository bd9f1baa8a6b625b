"""What is sent to a device's shell: fixed scripts with quoted arguments, and their answers."""

from __future__ import annotations

import functools
import re
import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

Name = Literal["run", "guard", "lock", "parts", "receive", "send"]
# Reads one line, the script, and leaves the rest of the input to it. It holds no foreign text,
# and nothing that login shells other than POSIX ones would read differently. With `exec`, the
# script is the leader of the session that sshd has made.
BOOTSTRAP = """exec sh -c 'IFS= read -r s && eval "$(printf %b "$s")"'"""
_WITH_FILES = ("parts", "receive", "send")
_SIGNAL_BASE = 128
_LAST_SIGNAL = 64


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script with its arguments; `mark` stands before each line of the script's own."""

    text: str
    mark: str
    words: tuple[str, ...]

    def line(self) -> bytes:
        """All of it as the one line that BOOTSTRAP reads."""
        call = f"set -- {shlex.join(self.words)}\n{self.text}"
        return "".join(map(_escaped, call.encode(errors="surrogateescape"))).encode() + b"\n"

    def argv(self) -> tuple[str, ...]:
        """All of it as a command line."""
        return ("sh", "-c", self.text, "edgesmith", *self.words)


def make_script(name: Name, *words: str) -> Script:
    """The script of that name; its first argument, the mark, is made here."""
    mark = f"edgesmith-{secrets.token_hex(8)}"
    return Script(text=_text(name), mark=mark, words=(mark, *words))


@functools.cache
def _text(name: Name) -> str:
    folder = resources.files("edgesmith.devices.remote")
    parts = ("common", "files", name) if name in _WITH_FILES else ("common", name)
    text = "".join(folder.joinpath(f"{one}.sh").read_text("utf-8") for one in parts)
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def _escaped(byte: int) -> str:
    """For `printf %b`; shells differ in how they read bytes beyond ASCII."""
    if byte == ord("\\"):
        return "\\\\"
    return chr(byte) if 32 <= byte < 127 else f"\\0{byte:03o}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a script gave: `status` is None when it did not come to its end."""

    output: str
    stderr: str
    status: int | None

    @property
    def begun(self) -> bool:
        return self.output != "" or self.status is not None

    def lines(self) -> tuple[str, ...]:
        return tuple(self.output.splitlines())


def parse_answer(output: str, stderr: str, mark: str) -> Answer:
    """The part between the marks; what a login printed before it is left out.

    A tool that mixes both streams brings the first mark twice.
    """
    inside = output.partition(f"{mark} begin\n")[2].replace(f"{mark} begin\n", "")
    body, ended, rest = inside.rpartition(f"\n{mark} end ")
    status = re.match(r"(\d+)", rest) if ended else None
    marked = f"{mark} begin\n"
    return Answer(
        output=body if ended else inside,
        stderr=stderr.partition(marked)[2] if marked in stderr else stderr,
        status=int(status[1]) if status else None,
    )


def without_mark(text: str, mark: str) -> str:
    """An error's text without the lines that are ours."""
    return "\n".join(line for line in text.split("\n") if f"{mark} " not in line)


def returncode(status: int) -> int:
    """As Python has it: negative for a signal, which a shell tells as 128 and its number."""
    number = status - _SIGNAL_BASE
    return -number if 0 < number <= _LAST_SIGNAL else status


def between_marks(mark: str, on_line: Callable[[str], None]) -> Callable[[str], None]:
    """`on_line` for the program's own lines alone."""
    begun = False

    def listen(line: str) -> None:
        nonlocal begun
        if line.startswith(f"{mark} "):
            begun = line == f"{mark} begin"
        elif begun:
            on_line(line)

    return listen


def words_of(*values: str | int | Sequence[str]) -> tuple[str, ...]:
    """Arguments of a script, lists among them laid out."""
    words: list[str] = []
    for value in values:
        if isinstance(value, str | int):
            words.append(str(value))
        else:
            words.extend(value)
    return tuple(words)
