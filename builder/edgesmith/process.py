"""The one door to subprocesses: argument lists, a timeout, and an error that shows the output."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesmith.errors import EdgesmithError, ToolchainError
from edgesmith.events import EventStream

TAIL_LINES = 25
_KILL_GRACE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A finished subprocess; `output` is its stdout (and stderr unless kept apart)."""

    argv: tuple[str, ...]
    returncode: int
    output: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run. `purpose` completes the sentence "... failed" in the error message."""

    argv: Sequence[str | Path]
    purpose: str
    hint: str
    timeout_s: float
    error: type[EdgesmithError] = ToolchainError
    cwd: Path | None = None
    env: Mapping[str, str] | None = None
    pass_fds: tuple[int, ...] = ()
    accept: tuple[int, ...] = (0,)
    separate_stderr: bool = False


def resolve_program(program: str | Path, *, hint: str, error: type[EdgesmithError]) -> str:
    """Absolute path of `program`; raises `error` when it is not there."""
    found = shutil.which(str(program))
    if found is None:
        raise error(f"the program '{program}' was not found", where="PATH", hint=hint)
    return found


def run(
    command: Command,
    *,
    events: EventStream,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Runs `command` to its end, in its own process group.

    Output lines go to the event stream as debug talk, and to `on_line`. Raises the command's
    error class when the program is missing, times out, or returns a code not in `accept`.
    An interrupt ends the whole group before it goes on up.
    """
    program = resolve_program(command.argv[0], hint=command.hint, error=command.error)
    argv = (program, *(str(arg) for arg in command.argv[1:]))
    events.debug("$ " + shlex.join(argv))
    process = _start(command, argv)
    lines: list[str] = []
    errors: list[str] = []
    readers = [threading.Thread(target=_pump, args=(process.stdout, lines, events, on_line))]
    if command.separate_stderr:
        readers.append(threading.Thread(target=_pump, args=(process.stderr, errors, events, None)))
    for reader in readers:
        reader.start()
    try:
        timed_out = _wait(process, command.timeout_s)
    except BaseException:
        _end_group(process)
        raise
    finally:
        for reader in readers:
            reader.join(timeout=_KILL_GRACE_S)
    done = Completed(
        argv=argv,
        returncode=process.returncode,
        output="".join(lines),
        stderr="".join(errors),
    )
    if timed_out:
        raise _failure(command, done, f"took longer than {command.timeout_s:g} s and was ended")
    if process.returncode not in command.accept:
        raise _failure(command, done, f"failed ({_describe(process.returncode)})")
    return done


def _start(command: Command, argv: tuple[str, ...]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            argv,
            cwd=command.cwd,
            env=dict(command.env) if command.env is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if command.separate_stderr else subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=command.pass_fds,
        )
    except OSError as error:
        raise command.error(
            f"{command.purpose}: could not start: {error.strerror}",
            where=argv[0],
            hint=command.hint,
        ) from error


def _pump(
    stream: object,
    lines: list[str],
    events: EventStream,
    on_line: Callable[[str], None] | None,
) -> None:
    for line in stream or ():  # type: ignore[attr-defined]
        lines.append(line)
        events.debug(line.rstrip("\n"))
        if on_line is not None:
            on_line(line.rstrip("\n"))


def _wait(process: subprocess.Popen[str], timeout_s: float) -> bool:
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end_group(process)
        return True
    return False


def _end_group(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=_KILL_GRACE_S)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _describe(returncode: int) -> str:
    if returncode < 0:
        return f"ended by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def _failure(command: Command, done: Completed, finding: str) -> EdgesmithError:
    text = done.stderr if command.separate_stderr and done.stderr.strip() else done.output
    tail = "\n".join("    | " + line for line in text.rstrip().splitlines()[-TAIL_LINES:])
    what = f"{command.purpose} {finding}" + (f"\n{tail}" if tail else "")
    return command.error(what, where=shlex.join(done.argv), hint=command.hint)
