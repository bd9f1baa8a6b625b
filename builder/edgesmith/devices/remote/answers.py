"""What a device's answer means: a finished program, or an error with a remedy."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgesmith import process
from edgesmith.devices.remote.script import Answer, returncode, without_mark
from edgesmith.devices.transport import RemoteCommand
from edgesmith.errors import DeviceError, EdgesmithError
from edgesmith.events import EventStream
from edgesmith.process import Completed, describe_end
from edgesmith.report.plain import clean

_MAX_LINES = 12
# How a shell says that it could not start a program.
_NOT_STARTED = (126, 127)
# The first whose words a device says is told.
_HINTS: Sequence[tuple[str, str]] = (
    ("No space left", "free some space there, or set root to a folder on another disk"),
    ("Read-only file system", "the file system is read-only: set root to a writable folder"),
    ("Permission denied", "give your login write permission there, or set another root"),
    ("Operation not permitted", "give your login write permission there, or set another root"),
    ("Not a directory", "a file stands where a folder is needed: set another root"),
)


def completed(command: RemoteCommand, answer: Answer) -> Completed:
    """The finished program; raises the command's error when it was not to end like that."""
    assert answer.status is not None
    done = Completed(
        argv=tuple(command.argv),
        returncode=returncode(answer.status),
        output=answer.output + ("" if command.separate_stderr else answer.stderr),
        stderr=answer.stderr if command.separate_stderr else "",
    )
    if answer.status in _NOT_STARTED:
        finding = "could not be started"
    elif done.returncode not in command.accept:
        finding = f"failed ({describe_end(done.returncode)})"
    else:
        return done
    raise refusal(
        f"{command.purpose} {finding}", answer, command.argv[0], command.hint, command.error
    )


def require_done(answer: Answer, doing: str, where: str) -> Answer:
    """The answer of a script of ours that came to its end well; raises DeviceError."""
    if answer.status == 0:
        return answer
    raise refusal(f"{doing} failed", answer, where, "check the device's root folder")


def refusal(
    what: str, answer: Answer, where: str, hint: str, error: type[EdgesmithError] = DeviceError
) -> EdgesmithError:
    """An error that shows what the device said."""
    said = answer.stderr.strip() or answer.output.strip()
    lines = [clean(line) for line in said.splitlines() if line.strip()][-_MAX_LINES:]
    hints = [remedy for words, remedy in _HINTS if words in said]
    shown = "".join(f"\n    | {line}" for line in lines)
    return error(what + shown, where=where, hint=hints[0] if hints else hint)


def run_marked(
    command: process.Command, mark: str, events: EventStream, listeners: process.Listeners
) -> Completed:
    """Runs the local program; its errors do not show the script's own lines."""
    try:
        return process.run(command, events=events, listeners=listeners)
    except EdgesmithError as error:
        error.what = without_mark(error.what, mark)
        raise


@contextmanager
def held_open(first: bytes) -> Iterator[Iterator[bytes]]:
    """Input that begins with `first` and has no end before the block has."""
    done = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield first
        done.wait()

    try:
        yield chunks()
    finally:
        done.set()
