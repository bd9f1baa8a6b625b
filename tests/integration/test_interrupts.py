"""Ctrl-C ends every command with one exit code, whatever ran at that moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import INTERRUPTIBLE, ROOT

# Started by `-m`, as `python -m edgesmith` is. A text that Python executes stands for the making
# of a dataclass, in which an interrupt of the usual kind ends the whole process by the signal.
PROGRAM = '''
from edgesmith.cli import main as command_line

TEXT = """
import os, signal, time
os.kill(os.getpid(), signal.{name})
time.sleep(30)
"""


def told_to_end():
    exec(TEXT)


command_line._dispatch = lambda words: told_to_end()
command_line.entry()
'''


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_in_executed_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace("{name}", name))
    done = subprocess.run(
        [*INTERRUPTIBLE, sys.executable, "-m", "program"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "builder")},
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
