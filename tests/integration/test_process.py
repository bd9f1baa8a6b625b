"""The door to subprocesses: output that floods, programs that are silent or leave others behind."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edgesmith.errors import ToolchainError
from edgesmith.events import EventStream
from edgesmith.process import Command, Completed, Listeners, run


def python(code: str, listeners: Listeners | None = None, **options: Any) -> Completed:
    command = Command(
        argv=[sys.executable, "-c", code],
        purpose="the test's program",
        hint="see the test",
        **{"timeout_s": 60.0, **options},
    )
    return run(command, events=EventStream(), listeners=listeners)


def test_of_a_flood_only_the_end_is_kept() -> None:
    code = "for i in range(200_000): print(f'line {i}')\nprint('x' * 1_000_000)\nprint('end')"
    done = python(code, keep_chars=100_000)
    assert done.output.endswith("x\nend\n")
    assert len(done.output) <= 100_000
    assert python("print('a'); print('b')").output == "a\nb\n"


def test_silence_is_told_while_the_program_runs_on() -> None:
    told: list[float] = []
    enough = threading.Event()

    def on_silence(seconds: float) -> None:
        told.append(seconds)
        if len(told) == 2:
            enough.set()

    listeners = Listeners(on_silence=on_silence, silence_s=0.1)
    with pytest.raises(ToolchainError, match="took longer than 3 s"):
        python("import time; time.sleep(100)", listeners, timeout_s=3.0)
    assert enough.is_set()
    assert told == sorted(told)


def test_what_a_program_leaves_behind_is_ended() -> None:
    """A child that holds the output open does not hold edgesmith."""
    code = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "print(p.pid)"
    )
    done = python(code)
    assert done.output.strip().isdigit()
    while is_running(int(done.output)):  # it was told to end; the test's timeout is the limit
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
