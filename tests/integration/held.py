"""A harness that is held in one of its phases until something is done to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sanitized import DEADLINE_S, SANITIZERS

from harness_files import DATA
from workbench import INTERRUPTIBLE

MODEL, SAMPLES = DATA / "tiny.onnx", DATA / "tiny.safetensors"
# The system call in which each phase is held, and the file it is about: those that the phase makes
# and none before it. The last one is made by the harness itself, the others by the process that
# measures.
PHASES = {
    "samples": ("openat", SAMPLES),
    "load": ("read", MODEL),
    "first inference": ("openat", "/proc/loadavg"),
    "measure": ("openat:when=2", "/proc/self/status"),
    "accuracy": ("fchmod", None),
    "profile": ("mkdir", None),
    "writing": ("fchmod", None),
}
_HOLD = "delay_enter=200s"


@dataclass(frozen=True, kw_only=True)
class Held:
    """The process is the harness's own."""

    process: subprocess.Popen[str]
    folder: Path
    temporary: Path

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    def measuring(self) -> int | None:
        """The process that measures."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def is_in(self, phase: str) -> bool:
        if phase == "writing":
            return bool(self.left()) and _is_held(self.process.pid)
        return _is_held(self.measuring())

    def end(self) -> tuple[int, str]:
        """Waits for the harness; its code and what it said."""
        _, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, err

    def tracer(self) -> int:
        """The process that holds; it is the tracer of all."""
        for pid in (self.process.pid, self.measuring()):
            # A process that nobody traces says 0, which would be our own group.
            if pid is not None and (found := int(_status(pid, "TracerPid"))) > 0:
                return found
        raise AssertionError("nobody traces the harness")

    def let_go(self, killed: int | None = None) -> None:
        """Ends the tracer, so that what it holds goes on; first waits until `killed` is to die."""
        wait_for(lambda: killed is None or _is_killed(killed))
        os.kill(self.tracer(), signal.SIGKILL)

    def left(self) -> list[str]:
        """What lies about that is no result."""
        names = [p.name for p in (*self.folder.iterdir(), *self.temporary.iterdir())]
        return [name for name in names if ".tmp-" in name or "edgesmith-" in name]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def _status(pid: int, field: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(w.split()[1] for w in text.splitlines() if w.startswith(field))


def _is_killed(pid: int) -> bool:
    """A process that a tracer holds does not end before that lets it go."""
    if state_of(pid) in ("gone", "Z"):
        return True
    return bool(int(_status(pid, "ShdPnd"), 16) & 1 << (signal.SIGKILL - 1))


def _is_held(pid: int | None) -> bool:
    """A stop that lasts is not one of those that every call of a traced process makes."""
    seen = set()
    for _ in range(10):
        if pid is None or state_of(pid) != "t":
            return False
        seen.add(Path(f"/proc/{pid}/syscall").read_text())
        time.sleep(0.02)
    return len(seen) == 1


@contextmanager
def held(phase: str, harness: Path, folder: Path) -> Iterator[Held]:
    """Starts a measurement and gives it when it is in `phase`."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    temporary = folder / "temporary"
    temporary.mkdir()
    call, file = PHASES[phase]
    name, _, rest = call.partition(":")
    hold = ":".join(filter(None, (f"inject={name}", _HOLD, rest)))
    argv = [
        *INTERRUPTIBLE, "strace", "-D", "-f", "-qqq", "-o", folder / "strace.txt",
        *(() if file is None else ("-P", file)), "-e", f"trace={name}", "-e", hold,
        harness, "bench", "--model", MODEL, "--samples", SAMPLES, "--profile",
        "--min-seconds", "0", "--min-iterations", "1", "--json", folder / "report.json",
        *(("--outputs", folder / "outputs") if phase == "accuracy" else ()),
    ]  # fmt: skip
    # The leak check is a tracer, too, and there can be only one.
    asan = {"ASAN_OPTIONS": SANITIZERS["ASAN_OPTIONS"] + ":detect_leaks=0"}
    process = subprocess.Popen(
        list(map(str, argv)),
        env={**os.environ, **SANITIZERS, **asan, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    )
    one = Held(process=process, folder=folder, temporary=temporary)
    try:
        wait_for(lambda: process.poll() is not None or one.is_in(phase))
        assert process.poll() is None, "it ended before it was held"
        yield one
    finally:
        process.kill()
        process.wait()
