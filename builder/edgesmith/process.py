"""The one door to subprocesses: argument lists, a timeout, and an error that shows the output."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgesmith.errors import EdgesmithError, ModelError, ToolchainError
from edgesmith.events import EventStream
from edgesmith.feeder import Feeder
from edgesmith.files import full_disk
from edgesmith.report.plain import clean

TAIL_LINES = 25
_KILL_GRACE_S = 5.0
# A line without an end is handed on in pieces of this length.
_LONGEST_LINE = 1 << 16
_POLL_S = 0.1
# Errors of commands that write to the host's disks; a device's full disk is the device's error.
_ON_THIS_HOST = (ToolchainError, ModelError)


class Cancelled(Exception):
    """A process was ended because another thread gave up what it was for."""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A finished subprocess; `output` is its stdout (and stderr unless kept apart)."""

    argv: tuple[str, ...]
    returncode: int
    output: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run. `purpose` completes the sentence "... failed" in the error message.

    `where` is the place that an error names, by default the command line. Of the output, the
    last `keep_chars` are kept; None keeps all. `stdin` is written as the program takes it; an
    exception that it raises ends the program and goes on up.
    """

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
    where: str | None = None
    timeout_hint: str | None = None
    keep_chars: int | None = None
    stdin: Iterable[bytes] | None = None


def with_stdin(command: Command, stdin: Iterable[bytes]) -> Command:
    """The command with this input."""
    return dataclasses.replace(command, stdin=stdin)


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who hears of a running command: each line, and every `silence_s` that nothing moved.

    With `on_bytes`, stdout is handed on as it comes, and neither split nor kept. An exception of
    `on_silence` ends the command; `on_stall` is the same for input that is not taken.
    """

    on_line: Callable[[str], None] | None = None
    on_bytes: Callable[[bytes], None] | None = None
    on_silence: Callable[[float], None] | None = None
    silence_s: float = 60.0
    on_stall: Callable[[], None] | None = None
    stall_s: float = 30.0


class _Output:
    """Lines in order, of which only the last `keep_chars` characters stay in memory."""

    def __init__(self, keep_chars: int | None) -> None:
        self._lines: deque[str] = deque()
        self._chars = 0
        self._keep_chars = keep_chars
        self.last_s = time.monotonic()

    def add(self, line: str) -> None:
        self.last_s = time.monotonic()
        self._lines.append(line)
        self._chars += len(line)
        while self._keep_chars is not None and self._chars > self._keep_chars:
            self._chars -= len(self._lines.popleft())

    def text(self) -> str:
        return "".join(self._lines)


def resolve_program(
    program: str | Path, *, hint: str, error: type[EdgesmithError], where: str | None = None
) -> str:
    """Absolute path of `program`; raises `error` when it is not there or is none."""
    found = shutil.which(str(program))
    if found is None:
        finding = "can't be run: it is no program" if Path(program).exists() else "was not found"
        raise error(f"'{program}' {finding}", where=where or "PATH", hint=hint)
    return found


def run(
    command: Command,
    *,
    events: EventStream,
    on_line: Callable[[str], None] | None = None,
    listeners: Listeners | None = None,
    cancelled: threading.Event | None = None,
) -> Completed:
    """Runs `command` to its end, in its own process group.

    Output lines go to the event stream as debug talk, and to the listeners. Raises the command's
    error class when the program is missing, times out, or returns a code not in `accept`.
    An interrupt ends the whole group before it goes on up; so does `cancelled` for a thread
    that gets no interrupts, and Cancelled is raised.
    """
    listeners = listeners or Listeners(on_line=on_line)
    program = resolve_program(
        command.argv[0], hint=command.hint, error=command.error, where=command.where
    )
    argv = (program, *(str(arg) for arg in command.argv[1:]))
    events.debug("$ " + shlex.join(argv))
    process = _start(command, argv)
    output, errors = _Output(command.keep_chars), _Output(command.keep_chars)
    readers = [_reader(process.stdout, output, events, listeners)]
    if command.separate_stderr:
        readers.append(_reader(process.stderr, errors, events, Listeners()))
    watched = _Watched(
        process=process,
        reader=readers[0],
        outputs=(output, errors),
        feeder=None if command.stdin is None else Feeder(process.stdin, command.stdin),
    )
    try:
        timed_out = _wait(watched, command.timeout_s, listeners, cancelled)
    except BaseException:
        _end_group(process)
        raise
    finally:
        _join(readers, process)
    done = Completed(
        argv=argv, returncode=process.returncode, output=output.text(), stderr=errors.text()
    )
    if timed_out:
        hint = command.timeout_hint or command.hint
        finding = f"took longer than {command.timeout_s:g} s and was ended"
        raise failure(command, done, finding, hint=hint)
    if process.returncode not in command.accept:
        raise failure(command, done, f"failed ({describe_end(process.returncode)})")
    return done


def _start(command: Command, argv: tuple[str, ...]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            argv,
            cwd=command.cwd,
            env=dict(command.env) if command.env is not None else None,
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
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
            where=command.where or argv[0],
            hint=command.hint,
        ) from error


def _reader(
    stream: IO[str] | None, output: _Output, events: EventStream, listeners: Listeners
) -> threading.Thread:
    """A started thread that takes in all of a stream."""

    def pump() -> None:
        while stream is not None and (line := stream.readline(_LONGEST_LINE)):
            output.add(line)
            events.debug(line.rstrip("\n"))
            if listeners.on_line is not None:
                listeners.on_line(line.rstrip("\n"))

    def pump_bytes(take: Callable[[bytes], None]) -> None:
        # A pipe opened for text, whose type does not tell that it has bytes below.
        while stream is not None and (chunk := stream.buffer.read1(_LONGEST_LINE)):  # type: ignore[attr-defined]
            output.last_s = time.monotonic()
            take(chunk)

    take = listeners.on_bytes
    target = pump if take is None else functools.partial(pump_bytes, take)
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def _join(readers: Sequence[threading.Thread], process: subprocess.Popen[str]) -> None:
    """Waits for the ends of the streams; what the program left running holds them open."""
    for reader in readers:
        reader.join(timeout=_KILL_GRACE_S)
    if any(reader.is_alive() for reader in readers):
        _signal_group(process, signal.SIGKILL)
        for reader in readers:
            reader.join(timeout=_KILL_GRACE_S)


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """A running process with those who take in its output and hand it its input."""

    process: subprocess.Popen[str]
    reader: threading.Thread
    outputs: Sequence[_Output]
    feeder: Feeder | None

    def ended(self, timeout_s: float) -> bool:
        """Waits for the end, which mostly shows first as that of the output."""
        self.reader.join(timeout_s)
        if not self.reader.is_alive():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_s)
        return self.process.poll() is not None


def _wait(
    watched: _Watched,
    timeout_s: float,
    listeners: Listeners,
    cancelled: threading.Event | None,
) -> bool:
    """Whether the time was over before the process ended; it is ended then. Raises Cancelled."""
    started_s = told_s = time.monotonic()
    while True:
        if cancelled is not None and cancelled.is_set():
            raise Cancelled
        if watched.feeder is not None:
            watched.feeder.check(listeners.on_stall, listeners.stall_s)
        left_s = started_s + timeout_s - time.monotonic()
        if left_s <= 0:
            _end_group(watched.process)
            return True
        if watched.ended(min(left_s, _POLL_S)):
            return False
        heard_s = max(told_s, *(output.last_s for output in watched.outputs))
        if listeners.on_silence and time.monotonic() - heard_s >= listeners.silence_s:
            told_s = time.monotonic()
            listeners.on_silence(told_s - started_s)


def _end_group(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _signal_group(process, number):
            break
        try:
            process.wait(timeout=_KILL_GRACE_S)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether there was still somebody in the group."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def describe_end(returncode: int) -> str:
    """How a process ended, in words."""
    if returncode < 0:
        return f"ended by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def failure(
    command: Command, done: Completed, finding: str, *, hint: str | None = None
) -> EdgesmithError:
    """The command's error: what was found, the end of the output, and the remedy."""
    text = done.stderr if command.separate_stderr and done.stderr.strip() else done.output
    tail = "\n".join("    | " + clean(line) for line in text.rstrip().splitlines()[-TAIL_LINES:])
    what = f"{command.purpose} {finding}" + (f"\n{tail}" if tail else "")
    where = command.where or shlex.join(done.argv)
    full = full_disk(what, where=where) if command.error in _ON_THIS_HOST else None
    return full or command.error(what, where=where, hint=hint or command.hint)
