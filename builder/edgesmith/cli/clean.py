"""`edgesmith clean`: removes only what edgesmith made; never reports."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from edgesmith.cli.session import Outcome, Session
from edgesmith.files import host_file_errors, is_ours

# Files of ours that lie beside the stage folders.
_OWN_NAMES = {".lock", ".state"}

EXAMPLES = (
    "edgesmith clean --dry-run",
    "edgesmith clean",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Removes the stage folders of the project; whatever carries no marker stays."""
    from edgesmith.pipeline import project_lock

    project = session.project()
    build = project.build_folder
    if not build.is_dir() or build.is_symlink():
        return Outcome(data={"removed": [], "kept": []}, text="Nothing to remove.")
    removed, kept = find_own(build)
    if not session.dry_run:
        with project_lock(project, session.context), host_file_errors(build):
            for path in removed:
                remove(path)
            remove_empty(build)
    verb = "would remove" if session.dry_run else "removed"
    lines = [f"{verb} {path}" for path in removed]
    lines += [f"kept {path}: not made by edgesmith" for path in kept]
    data = {"removed": [str(p) for p in removed], "kept": [str(p) for p in kept]}
    return Outcome(data=data, text="\n".join(lines) or "Nothing to remove.")


def find_own(build: Path) -> tuple[list[Path], list[Path]]:
    """(what carries our marker or is one of our own files, what is somebody else's)."""
    removed: list[Path] = []
    kept: list[Path] = []
    for path in sorted(build.iterdir()):
        if path.name in _OWN_NAMES or is_ours(path) or path.name.startswith(".scratch-"):
            removed.append(path)
        elif path.is_dir() and not path.is_symlink():
            inner_removed, inner_kept = find_own(path)
            removed += inner_removed
            kept += inner_kept
        else:
            kept.append(path)
    return removed, kept


def remove(path: Path) -> None:
    """Removes a file, or a folder without following links."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_empty(folder: Path) -> None:
    """Removes `folder` and the folders in it that hold nothing any more, and an empty parent."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
    for path in (folder, folder.parent):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
