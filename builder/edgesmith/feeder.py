"""Hands a running program its input, from a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import IO


class Feeder:
    """Writes `chunks` to a program's standard input and closes it.

    A program that ends before it took all is no error here: how it ended says what was wrong.
    """

    def __init__(self, stream: IO[str] | None, chunks: Iterable[bytes]) -> None:
        assert stream is not None
        # A pipe opened for text, whose type does not tell that it has bytes below.
        self._stream: IO[bytes] = stream.buffer  # type: ignore[attr-defined]
        self._chunks = chunks
        self._error: BaseException | None = None
        self._last_s = time.monotonic()
        self._blocked = False
        threading.Thread(target=self._feed, daemon=True).start()

    def check(self, on_stall: Callable[[], None] | None, stall_s: float) -> None:
        """Raises what the chunks raised; calls `on_stall` when input waits too long to be taken."""
        if self._error is not None:
            raise self._error
        if on_stall is not None and self._blocked and time.monotonic() - self._last_s >= stall_s:
            on_stall()

    def _feed(self) -> None:
        try:
            with contextlib.suppress(BrokenPipeError):
                for chunk in self._chunks:
                    self._last_s, self._blocked = time.monotonic(), True
                    self._stream.write(chunk)
                    self._stream.flush()
                    self._blocked = False
        except BaseException as error:
            # It is the waiting thread's to raise.
            self._error = error
            return
        finally:
            self._blocked = False
        with contextlib.suppress(OSError):
            self._stream.close()
