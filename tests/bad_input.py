"""One form for every case of bad input: how to spoil a project, and what must be said of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Spoil = Callable[[Path], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake, the command that meets it, and what must be said.

    `spoil` changes a right project in its folder; `{name}` in the words of `command` stands for
    the project's folder. Each of `says` must be in the message.
    """

    name: str
    command: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    spoil: Spoil = field(default=lambda project: None)
    environment: Mapping[str, str] = field(default_factory=dict)


def edited(name: str, old: str, new: str) -> Spoil:
    """Replaces text in a file, which must have it."""

    def spoil(project: Path) -> None:
        path = project / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    return spoil


def setting(old: str, new: str) -> Spoil:
    """Replaces text in the project file."""
    return edited("edgesmith.toml", old, new)


def written(name: str, content: str | bytes) -> Spoil:
    """Writes a file, and the folders above it."""

    def spoil(project: Path) -> None:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def removed(name: str) -> Spoil:
    """Removes a file or a folder."""

    def spoil(project: Path) -> None:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def truncated(name: str) -> Spoil:
    """Cuts a file in half."""

    def spoil(project: Path) -> None:
        path = project / name
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])

    return spoil


def linked(name: str) -> Spoil:
    """Puts a link to the same bytes elsewhere in a file's place."""

    def spoil(project: Path) -> None:
        path, away = project / name, project.parent / "away"
        path.rename(away)
        path.symlink_to(away)

    return spoil


def all_of(*spoils: Spoil) -> Spoil:
    """Does one after the other."""

    def spoil(project: Path) -> None:
        for one in spoils:
            one(project)

    return spoil


def half_written(*folders: Path) -> list[Path]:
    """Temporary files and folders that an error left."""
    marks = (".tmp-", ".old-", ".part-", ".put-")
    return [
        path
        for folder in folders
        for path in folder.rglob(".*")
        if any(mark in path.name for mark in marks) or path.name.startswith((".scratch", ".bench-"))
    ]
