"""`edgesmith run`: the main job."""

from __future__ import annotations

import argparse

from edgesmith.cli import bench, build, flash
from edgesmith.cli.session import Outcome, Session

EXAMPLES = (
    "edgesmith run",
    "edgesmith run --device all -q",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    bench.add_arguments(parser)


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Builds for the devices' targets, installs, measures, and shows the reports."""
    project = session.project()
    devices = project.device_names(arguments.device)
    targets = list(dict.fromkeys(project.device(name).target for name in devices))
    built = build.run(argparse.Namespace(target=targets), session)
    if session.dry_run:
        text = f"{built.text}\nthen: flash and bench {', '.join(devices)}, report"
        return Outcome(data={"build": built.data, "devices": list(devices)}, text=text)
    session.events.info(built.text)
    flashed = flash.run_devices(argparse.Namespace(device=list(devices)), session)
    session.events.info(flashed.text)
    return _measure(arguments, session, built, flashed)


def _measure(
    arguments: argparse.Namespace, session: Session, built: Outcome, flashed: Outcome
) -> Outcome:
    """Measures the devices that could be installed; one device's failure hides no other's."""
    data = {"build": built.data, "flash": flashed.data, "bench": None}
    reached = _reached(flashed)
    if not reached:
        return Outcome(data=data, text=flashed.text, exit_code=flashed.exit_code)
    measured = bench.run_devices(
        argparse.Namespace(**{**vars(arguments), "device": reached}), session
    )
    codes = [one.exit_code for one in (flashed, measured) if one.exit_code]
    return Outcome(
        data={**data, "bench": measured.data}, text=measured.text, exit_code=min(codes, default=0)
    )


def _reached(flashed: Outcome) -> list[str]:
    devices = flashed.data["devices"] if isinstance(flashed.data, dict) else []
    return [one["device"] for one in devices if one["exit_code"] == 0]
