"""Which signals end a command, and until when."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from edgesmith.cli import interrupts

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_ends_the_work() -> None:
    interrupts.listen()
    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(interrupts.ToldToEnd):
            signal.raise_signal(number)


def test_what_the_caller_ignores_stays_ignored() -> None:
    interrupts.listen()
    signal.raise_signal(signal.SIGHUP)


def test_after_the_work_no_signal_changes_the_exit_code() -> None:
    interrupts.listen()
    interrupts.work_is_done()
    for number in NUMBERS:
        signal.raise_signal(number)
