"""Notes which files and folders the user's code read, through Python's audit events."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Parts of Python that list the folders of sys.path, the project's among them, to find modules
# and installed distributions. What they find is noted when it is read.
_SEARCHERS = ("<frozen importlib", "/importlib/", "/pkgutil.py")
# How many callers up a search may stand above the listing itself.
_SEARCH_DEPTH = 4
_SYSTEM_FOLDERS = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/lib64", "/bin", "/opt")


class ReadTracker:
    """Collects (path, kind) pairs; `kind` is `file` or `folder`."""

    def __init__(self, *, project: Path, ignore: tuple[Path, ...]) -> None:
        self._project = str(project)
        places = [sys.prefix, sys.base_prefix, sysconfig.get_paths()["purelib"], *_SYSTEM_FOLDERS]
        self._outside = tuple(str(Path(place)) + os.sep for place in places)
        self._ignored = tuple(str(path) + os.sep for path in (*ignore, Path(tempfile.gettempdir())))
        self._seen: set[tuple[str, str]] = set()
        self.active = False

    def install(self) -> None:
        """Starts listening; an audit hook can't be removed, so `active` switches it."""
        self.active = True
        sys.addaudithook(self._hear)
        _watch_safetensors(self.note)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "open":
            path, mode, flags = arguments[:3]
            if _is_read(mode, flags):
                self.note(path, "file")
        elif event == "sqlite3.connect":
            self.note(arguments[0], "file")
        elif event in ("os.listdir", "os.scandir") and not _called_by_import():
            self.note(arguments[0] if arguments[0] is not None else Path.cwd(), "folder")

    def note(self, path: object, kind: str) -> None:
        """Adds one path unless it is the interpreter's, the system's or a temporary one."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        text = os.path.normpath(Path.cwd() / os.fsdecode(path))
        if "__pycache__" in text or text.endswith(".pyc"):
            return
        inside = text.startswith(self._project + os.sep) or text == self._project
        if text.startswith(self._ignored) and not (inside and self._project_is_temporary(text)):
            return
        if not inside and text.startswith(self._outside):
            return
        if inside and f"{os.sep}site-packages{os.sep}" in text:
            return
        self._seen.add((text, kind))

    def _project_is_temporary(self, text: str) -> bool:
        """A project below the temporary folder is still a project, except what we ignore."""
        build = tuple(p for p in self._ignored if p.startswith(self._project + os.sep))
        return not (build and text.startswith(build))

    def found(self) -> list[list[str]]:
        """All reads, the sources of imported project modules among them."""
        self.active = False
        for module in list(sys.modules.values()):
            origin = getattr(module, "__file__", None)
            if isinstance(origin, str) and origin.startswith(self._project + os.sep):
                self.note(origin, "file")
        return sorted([path, kind] for path, kind in self._seen)


def _is_read(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return not any(letter in mode for letter in "wax")
    return isinstance(flags, int) and (flags & os.O_ACCMODE) == os.O_RDONLY


def _called_by_import() -> bool:
    frame = sys._getframe(2)
    for _ in range(_SEARCH_DEPTH):
        if any(part in frame.f_code.co_filename for part in _SEARCHERS):
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _watch_safetensors(note: Callable[[object, str], None]) -> None:
    """safetensors opens files in native code, unseen by audit events: note its paths too."""
    try:
        import safetensors
    except ImportError:
        return
    opened = safetensors.safe_open

    @functools.wraps(opened, updated=())
    def noted(filename: Any, *arguments: Any, **keywords: Any) -> Any:
        note(filename, "file")
        return opened(filename, *arguments, **keywords)

    vars(safetensors)["safe_open"] = noted
