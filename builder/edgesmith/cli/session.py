"""What a verb gets to work with, and what it gives back."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.events import EventStream

if TYPE_CHECKING:
    from edgesmith.project.project import Project
    from edgesmith.stages import Context


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """How to write text to stdout: `width` in columns; `interactive` when stderr is a terminal."""

    colour: bool
    width: int
    interactive: bool


def detect_terminal(*, no_color: bool) -> Terminal:
    """The present terminal; colours only where stdout is one and nobody forbids them."""
    shown = sys.stdout is not None and sys.stdout.isatty()
    colour = shown and not no_color and not os.environ.get("NO_COLOR")
    return Terminal(
        colour=colour and os.environ.get("TERM") != "dumb",
        width=shutil.get_terminal_size((100, 24)).columns,
        interactive=sys.stderr is not None
        and sys.stderr.isatty()
        and os.environ.get("TERM") != "dumb",
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A verb's result: the same facts as data and as text for stdout."""

    data: dict[str, Any] | list[Any]
    text: str
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class Session:
    """One invocation: the options that every verb knows, and lazy access to the project."""

    project_option: str | None
    dry_run: bool
    offline: bool
    events: EventStream
    terminal: Terminal
    start: Path = field(default_factory=Path.cwd)

    def project(self) -> Project:
        """The checked project; raises UsageError."""
        return _project(self.project_option, self.start)

    @property
    def context(self) -> Context:
        """What stages use besides their value and settings."""
        from edgesmith.cache import Cache, cache_root
        from edgesmith.stages import Context

        return Context(events=self.events, cache=Cache(cache_root()), offline=self.offline)


@functools.cache
def _project(option: str | None, start: Path) -> Project:
    from edgesmith.project.load import find_project_file, load_project

    return load_project(find_project_file(option, start=start))
