"""`edgesmith run`: the main job."""

from __future__ import annotations

import argparse

from edgesmith.cli import bench, build, flash
from edgesmith.cli.session import Outcome, Session


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
    return flash_and_bench(session, devices, built)


def flash_and_bench(session: Session, devices: tuple[str, ...], built: Outcome) -> Outcome:
    """The second half: each device is installed and measured; one failure hides no other."""
    arguments = argparse.Namespace(device=list(devices))
    session.events.info(built.text)
    flashed = flash.run_devices(arguments, session)
    session.events.info(flashed.text)
    reached = [d["device"] for d in flashed.data["devices"] if d["exit_code"] == 0]  # type: ignore[call-overload]
    outcomes = [flashed]
    text = ""
    if reached:
        measured = bench.run_devices(argparse.Namespace(device=reached), session)
        outcomes.append(measured)
        text = measured.text
    codes = [o.exit_code for o in outcomes if o.exit_code]
    data = {
        "build": built.data,
        "flash": flashed.data,
        "bench": outcomes[-1].data if reached else None,
    }
    return Outcome(data=data, text=text, exit_code=min(codes, default=0))
