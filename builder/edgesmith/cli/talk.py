"""Subscribers that show events on stderr: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TextIO

from edgesmith.cli.session import Terminal
from edgesmith.events import Event, EventStream, Message, Progress, StageFinished, StageStarted

# Elsewhere than on a terminal, a line of progress at most so often.
PLAIN_PROGRESS_INTERVAL_S = 5.0
_CLEAR_LINE = "\r\x1b[K"


def subscribe_talk(events: EventStream, terminal: Terminal, *, verbosity: int) -> None:
    """Shows events on stderr; `verbosity` below 0 leaves only warnings, above 0 shows debug."""
    if sys.stderr is not None:
        talk = Talk(sys.stderr, live=terminal.interactive, verbosity=verbosity)
        events.subscribe(talk.show)


class Talk:
    """Writes events as text to one stream."""

    def __init__(self, stream: TextIO, *, live: bool, verbosity: int) -> None:
        self._stream = stream
        self._live = live
        self._verbosity = verbosity
        self._last_progress_s = time.monotonic()
        self._line_open = False

    def show(self, event: Event) -> None:
        match event:
            case Message():
                self._message(event)
            case Progress():
                self._progress(event)
            case StageStarted():
                self._started(event)
            case StageFinished():
                self._finished(event)

    def _message(self, event: Message) -> None:
        if event.level == "warning":
            self._line(f"warning: {event.text}")
        elif event.level == "info" and self._verbosity >= 0:
            self._line(event.text)
        elif event.level == "debug" and self._verbosity > 0:
            self._line(f"  {event.text}")

    def _started(self, event: StageStarted) -> None:
        self._last_progress_s = time.monotonic()
        if self._verbosity < 0:
            return
        if self._live:
            self._update(f"{_title(event.stage, event.target)} ...")
        else:
            self._line(f"{_title(event.stage, event.target)} ...")

    def _progress(self, event: Progress) -> None:
        if self._verbosity < 0:
            return
        total = f"/{event.total}" if event.total else ""
        text = f"{event.stage}: {event.done}{total} {event.unit}"
        if self._live:
            self._update(text)
            return
        now = time.monotonic()
        if now - self._last_progress_s >= PLAIN_PROGRESS_INTERVAL_S:
            self._last_progress_s = now
            self._line(text)

    def _finished(self, event: StageFinished) -> None:
        if self._verbosity < 0:
            return
        title = _title(event.stage, event.target)
        note = f"  {event.note}" if event.note else ""
        match event.status:
            case "cached":
                self._line(f"{title:<22} cached, nothing to do{note}")
            case "ran":
                self._line(f"{title:<22} done in {event.seconds:.1f} s{note}")
            case "would-run":
                self._line(f"{title:<22} would run{note}")

    def _update(self, text: str) -> None:
        self._write(f"{_CLEAR_LINE}{text}")
        self._line_open = True

    def _line(self, text: str) -> None:
        clear = _CLEAR_LINE if self._line_open else ""
        self._line_open = False
        self._write(f"{clear}{text}\n")

    def _write(self, text: str) -> None:
        # Nobody listening is no reason to stop working.
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def _title(stage: str, target: str | None) -> str:
    return f"{stage} [{target}]" if target else stage
