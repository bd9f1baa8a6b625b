"""`edgesmith doctor`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_target_option
from edgesmith.errors import ToolchainError, UsageError

if TYPE_CHECKING:
    from edgesmith.doctor import Check

EXAMPLES = (
    "edgesmith doctor",
    "edgesmith doctor --target host --device desk",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)
    parser.add_argument(
        "--device", action="append", default=[], metavar="DEVICE", help="device (may repeat)"
    )


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Looks at host, project, targets and devices; fails when something needed is missing."""
    from edgesmith import doctor

    checks = list(doctor.check_host())
    checks += _project_checks(arguments, session)
    missing = [c for c in checks if not c.passed and c.needed]
    lines = [doctor.NOT_FOR, *(_line(check) for check in checks)]
    lines.append(f"{len(missing)} missing" if missing else "Nothing is missing.")
    return Outcome(
        data={"checks": [asdict(c) for c in checks], "missing": len(missing)},
        text="\n".join(lines),
        exit_code=ToolchainError.exit_code if missing else 0,
    )


def _project_checks(arguments: argparse.Namespace, session: Session) -> list[Check]:
    """Without any project only the host is looked at; a wrong one is an error."""
    from edgesmith import doctor
    from edgesmith.project.load import find_project_file

    asked = bool(session.project_option or arguments.target or arguments.device)
    try:
        find_project_file(session.project_option, start=session.start)
    except UsageError:
        if asked:
            raise
        session.events.info("no project here: only this machine is looked at")
        return []
    project = session.project()
    checks = list(doctor.check_project(project, session.events))
    for name in project.target_names(arguments.target):
        checks += doctor.check_target(project.target(name))
    names = project.device_names(arguments.device) if project.settings.devices else ()
    for name in names:
        checks += doctor.check_device(project.device(name))
    return checks


def _line(check: Check) -> str:
    mark = "ok     " if check.passed else "MISSING"
    line = f"{mark} {check.name}: {check.found}"
    return line if check.passed else f"{line}\n        fix: {check.remedy}"
