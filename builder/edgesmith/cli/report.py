"""edgesmith report: renders reports."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.errors import HostFileError, UsageError

if TYPE_CHECKING:
    from edgesmith.report.plain import Style

EXAMPLES = (
    "edgesmith report",
    "edgesmith report -o newest.txt",
    "edgesmith report --format json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "reports",
        nargs="*",
        type=Path,
        metavar="REPORT",
        help="report files (default: the project's newest)",
    )
    add("-o", "--output", type=Path, metavar="FILE", help="write to FILE instead of stdout")


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    from edgesmith.report.schema import load_report

    files = arguments.reports or [newest_report(session.project().reports_folder)]
    reports = [load_report(file) for file in files]
    data: dict[str, Any] | list[Any] = reports[0] if len(reports) == 1 else reports
    style = style_of(session, to_file=arguments.output is not None)
    text = render_all(files, reports, style)
    if arguments.output is None:
        return Outcome(data=data, text=text)
    content = text if arguments.format == "text" else json.dumps(data, indent=1, allow_nan=False)
    return _written(arguments.output, content, session)


def render_all(files: list[Path], reports: list[dict[str, Any]], style: Style) -> str:
    """The reports one below the other."""
    from edgesmith.report.text import render_report

    ruler = "\n\n" + "-" * min(style.width, 72) + "\n\n"
    pairs = zip(files, reports, strict=True)
    return ruler.join(render_report(report, style, file=str(file)) for file, report in pairs)


def newest_report(folder: Path) -> Path:
    """The report written last, by the time in its name; raises UsageError when there is none."""
    found = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not found:
        raise UsageError(
            "there is no report yet",
            where=str(folder),
            hint="measure first: edgesmith bench, or edgesmith run",
        )
    return found[-1]


def style_of(session: Session, *, to_file: bool = False) -> Style:
    """How to write to stdout, or to a file: plain and in UTF-8."""
    from edgesmith.report.plain import Style

    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    return Style(
        colour=session.terminal.colour and not to_file,
        ascii_only=encoding not in ("utf8", "utf8sig") and not to_file,
        width=max(40, session.terminal.width),
    )


def _written(file: Path, content: str, session: Session) -> Outcome:
    from edgesmith.files import write_atomic

    if session.dry_run:
        return Outcome(data={"would_write": str(file)}, text=f"would write {file}")
    if file.is_dir():
        raise HostFileError(
            "cannot write: this is a folder", where=str(file), hint="name a file in it with -o"
        )
    if not file.parent.is_dir():
        raise HostFileError(
            f"cannot write: the folder '{file.parent}' does not exist",
            where=str(file),
            hint=f"correct the path, or make the folder: mkdir -p {shlex.quote(str(file.parent))}",
        )
    write_atomic(file, content.encode() + b"\n")
    return Outcome(data={"file": str(file)}, text=f"written: {file}")
