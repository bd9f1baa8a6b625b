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


# onnx makes its enumerations while its compiled module is being loaded: an exception that comes
# up just then ends the process by SIGABRT.
LOADING = """
import enum, signal, time
from edgesmith.cli import main as command_line

plain = enum.EnumMeta.__setattr__
sent = []


def told_to_end(words):
    import onnx
    time.sleep(20)


def spying(*args):
    if args[0].__module__.startswith("onnx.") and not sent:
        sent.append(signal.raise_signal(signal.SIGINT))
    plain(*args)


enum.EnumMeta.__setattr__ = spying
command_line._dispatch = told_to_end
command_line.entry()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_in_executed_text(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, PROGRAM.replace("{name}", name))
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr


def test_an_interrupt_while_a_compiled_module_is_loaded(tmp_path: Path) -> None:
    done = run(tmp_path, LOADING)
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(program)
    return subprocess.run(
        [*INTERRUPTIBLE, sys.executable, "-m", "program"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "builder")},
        capture_output=True,
        text=True,
        timeout=25,
    )
