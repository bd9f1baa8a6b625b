"""Opens a model in Netron, the viewer, where that is installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from edgesmith.errors import UsageError
from edgesmith.events import EventStream
from edgesmith.process import Command, run

# Somebody looks at a graph: as long as that takes.
_TIMEOUT_S = 7 * 86400.0


def find_netron() -> Path:
    """The program, on PATH or beside this Python; raises UsageError with how to get it."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("netron") or shutil.which("netron", path=beside)
    if found is None:
        raise UsageError(
            "Netron is not installed",
            where="--netron",
            hint="install it, such as with: pipx install netron; or look at the graph here with"
            " --graph",
        )
    return Path(found)


def open_in_netron(program: Path, model: Path, *, events: EventStream) -> None:
    """Shows the model in the browser until Ctrl-C; the server listens on loopback alone."""
    command = Command(
        argv=[program, "--host", "127.0.0.1", "--browse", model.absolute()],
        purpose="netron",
        hint="see what it says above, or look at the graph here with --graph",
        timeout_s=_TIMEOUT_S,
        error=UsageError,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    events.info(f"Netron shows {model.name}; Ctrl-C ends it")
    try:
        run(command, events=events, on_line=events.info)
    except KeyboardInterrupt:
        events.info("Netron was ended")
