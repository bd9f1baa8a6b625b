"""`edgesmith init`: a project that builds as it stands."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from edgesmith.cli.session import Outcome, Session
from edgesmith.errors import HostFileError, UsageError
from edgesmith.files import copy_file, host_file_errors

DEFAULT_EXAMPLE = "digits"
_LEFT_OUT = {"__pycache__", "build", "reports"}

EXAMPLES = (
    "edgesmith init hello",
    "edgesmith init other --example digits",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="folder to make; new or empty")
    parser.add_argument(
        "--example",
        metavar="NAME",
        default=DEFAULT_EXAMPLE,
        help=f"example to start from: {', '.join(known_examples())} (default: {DEFAULT_EXAMPLE})",
    )


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Copies an example into a new folder."""
    from edgesmith.project.wording import suggestion
    from edgesmith.resources import resource_folder

    root = resource_folder("examples")
    known = known_examples()
    if arguments.example not in known:
        raise UsageError(
            f"unknown example '{arguments.example}'; {suggestion(arguments.example, known)}",
            where="--example",
            hint=f"choose one of: {', '.join(known)}",
        )
    target = Path(arguments.directory)
    require_free(target)
    files = example_files(root / arguments.example)
    if not session.dry_run:
        with host_file_errors(target):
            for file in files:
                copy_file(root / arguments.example / file, target / file, mode=0o644)
    listing = "\n".join(f"  {file}" for file in files)
    verb = "would write" if session.dry_run else "wrote"
    text = f"{verb} {target}\n{listing}\nnext: edgesmith run -p {shlex.quote(str(target))}"
    return Outcome(data={"folder": str(target), "files": [str(f) for f in files]}, text=text)


def known_examples() -> list[str]:
    """The names of the examples that come with edgesmith."""
    from edgesmith.resources import resource_folder

    root = resource_folder("examples")
    return sorted(p.name for p in root.iterdir() if (p / "edgesmith.toml").is_file())


def require_free(target: Path) -> None:
    """Raises HostFileError when the folder is there and not empty."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise HostFileError(
            "this is no folder", where=str(target), hint="name a new folder: edgesmith init DIR"
        )
    if target.is_dir() and any(target.iterdir()):
        raise HostFileError(
            "the folder is not empty and will not be written to",
            where=str(target),
            hint="name a new or an empty folder",
        )


def example_files(source: Path) -> list[Path]:
    """An example's files, relative to it, without what builds leave."""
    found = [p.relative_to(source) for p in sorted(source.rglob("*")) if p.is_file()]
    return [p for p in found if not _LEFT_OUT & set(p.parts)]
