"""Ctrl-C and being told to end: one exception, raised only where the process can bear it."""

from __future__ import annotations

import signal
import time
from importlib.machinery import ExtensionFileLoader
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LATER_S = 0.02
# A module that takes longer hangs, such as on a disk that is gone.
_LATEST_S = 5.0
_IMPORT_SYSTEM = ExtensionFileLoader.exec_module.__code__.co_filename


class ToldToEnd(KeyboardInterrupt):
    """A kind of its own: after a plain KeyboardInterrupt that passes through the `exec` of a text
    (each dataclass is made by one), Python ends itself by SIGINT, whatever the exit code was."""


# When the signals came in.
_first_s: list[float] = []


def listen() -> None:
    """Being told to end is treated like Ctrl-C: everything is put in order first."""
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def work_is_done() -> None:
    """From here on only the exit code is left to give, which a signal must not change."""
    for number in (*_SIGNALS, signal.SIGALRM):
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    """A compiled module may crash when an exception meets it while it is being loaded (onnx and
    onnxruntime do): the signal then comes again a moment later."""
    now_s = time.monotonic()
    _first_s.append(now_s)
    if now_s - _first_s[0] < _LATEST_S and _loads_compiled_module(frame):
        signal.signal(signal.SIGALRM, _end)
        signal.setitimer(signal.ITIMER_REAL, _LATER_S)
        return
    raise ToldToEnd


def _loads_compiled_module(frame: FrameType | None) -> bool:
    while frame is not None:
        importing = frame.f_code.co_filename == _IMPORT_SYSTEM
        if importing and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False
