"""`edgesmith doctor`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_device_option, add_target_option
from edgesmith.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgesmith.doctor.check import Check
    from edgesmith.project.project import Device, Project

NOT_FOR = "not for: musl systems, ARMv6, microcontrollers, Android, macOS and Windows devices"

EXAMPLES = (
    "edgesmith doctor",
    "edgesmith doctor --target host --device desk",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_option(parser)
    add_device_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Looks at host, project, targets and devices; fails when something needed is missing."""
    from edgesmith.doctor.host import check_host

    checks = list(check_host())
    if all(check.passed for check in checks if check.name.startswith("package")):
        checks += _project_checks(arguments, session)
    else:
        session.events.info("a project is looked at when edgesmith's packages are there")
    missing = [check for check in checks if not check.passed and check.needed]
    summary = "Nothing that is needed is missing."
    if missing:
        summary = "missing: " + ", ".join(f"{check.name} ({check.part})" for check in missing)
    return Outcome(
        data={
            "not_for": NOT_FOR,
            "checks": [asdict(check) for check in checks],
            "missing": len(missing),
        },
        text="\n".join([NOT_FOR, *_lines(checks), summary]),
        exit_code=min((check.exit_code for check in missing), default=0),
    )


def _project_checks(arguments: argparse.Namespace, session: Session) -> list[Check]:
    """Without any project only the host is looked at; a wrong one is an error."""
    from edgesmith.doctor.device import check_device
    from edgesmith.doctor.project import check_project
    from edgesmith.doctor.target import check_target
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
    devices = []
    if project.settings.devices:
        devices = [project.device(name) for name in project.device_names(arguments.device)]
    checks = list(check_project(project, session.events))
    for name in _targets(arguments, project, devices):
        checks += check_target(project.target(name), offline=session.offline)
    for device in devices:
        checks += check_device(device, project.target(device.target), session.events)
    return checks


def _targets(
    arguments: argparse.Namespace, project: Project, devices: list[Device]
) -> tuple[str, ...]:
    """Devices that were named stand for their own targets."""
    if arguments.device and not arguments.target:
        return tuple(dict.fromkeys(device.target for device in devices))
    return project.target_names(arguments.target)


def _lines(checks: list[Check]) -> Iterator[str]:
    for part, group in groupby(checks, key=lambda check: check.part):
        yield part
        for check in group:
            mark = "ok" if check.passed else "MISSING" if check.needed else "absent"
            yield f"  {mark:<8} {check.name}: {check.found}"
            if not check.passed:
                yield f"{'':<11}fix: {check.remedy}"
