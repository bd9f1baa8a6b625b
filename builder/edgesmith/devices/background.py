"""A program that runs beside the work: its lines are waited for, and it ends when told to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from edgesmith import process
from edgesmith.devices.deadline import Deadline
from edgesmith.errors import EdgesmithError
from edgesmith.events import EventStream

_CLOSE_GRACE_S = 3.0


class Background:
    """Runs a command in a thread; its input stays open, with a line every `beat_s`, until close.

    `first` is what is written to it at once.
    """

    def __init__(
        self, command: process.Command, *, first: bytes, beat_s: float, events: EventStream
    ) -> None:
        self._first, self._beat_s = first, beat_s
        self._stop, self._cancelled = threading.Event(), threading.Event()
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._completed: process.Completed | None = None
        self._error: BaseException | None = None
        command = process.with_stdin(command, self._beats())
        self._thread = threading.Thread(target=self._run, args=(command, events), daemon=True)
        self._thread.start()

    @property
    def stderr(self) -> str:
        """What it said, once it has ended."""
        return self._completed.stderr if self._completed is not None else ""

    @property
    def returncode(self) -> int | None:
        """How it ended, once it has."""
        return self._completed.returncode if self._completed is not None else None

    def next_line(self, deadline: Deadline, doing: str) -> str | None:
        """Its next line, or None when it has ended; raises DeviceError when the time is over."""
        try:
            line = self._lines.get(timeout=deadline.remaining_s(doing))
        except queue.Empty:
            raise deadline.over(doing) from None
        if line is None:
            self._thread.join()
            if isinstance(self._error, EdgesmithError):
                raise self._error
            self._lines.put(None)
        return line

    def close(self, *, at_once: bool = False) -> None:
        """Ends its input and then, if need be, itself; `at_once` where nobody hears the first."""
        self._stop.set()
        self._thread.join(0 if at_once else _CLOSE_GRACE_S)
        self._cancelled.set()
        self._thread.join()

    def _beats(self) -> Iterator[bytes]:
        yield self._first
        while not self._stop.wait(self._beat_s):
            yield b"\n"

    def _run(self, command: process.Command, events: EventStream) -> None:
        try:
            self._completed = process.run(
                command, events=events, on_line=self._lines.put, cancelled=self._cancelled
            )
        except (EdgesmithError, process.Cancelled) as error:
            self._error = error
        finally:
            self._stop.set()
            self._lines.put(None)
