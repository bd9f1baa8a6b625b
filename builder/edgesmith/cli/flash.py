"""edgesmith flash: installs the release on devices, goes back, or lists what is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.cli.session import Outcome, Session
from edgesmith.cli.targets import add_device_option

if TYPE_CHECKING:
    from edgesmith.devices.each import Attempt
    from edgesmith.devices.install import FlashOptions, Installation

EXAMPLES = (
    "edgesmith flash",
    "edgesmith flash --device desk --list",
    "edgesmith flash --rollback --dry-run",
)


@dataclass(frozen=True, kw_only=True)
class DeviceResult:
    """What to show of one device: as data and as text."""

    data: dict[str, Any]
    text: str
    exit_code: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_device_option(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rollback", action="store_true", help="go back to the release before")
    what.add_argument("--list", action="store_true", help="list what is installed")
    add(
        "--allow-downgrade",
        action="store_true",
        help="install although the version is lower than the current one's",
    )
    add(
        "--no-self-test",
        action="store_true",
        help="switch without running the golden samples on the device",
    )


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    names = session.project().device_names(arguments.device)
    if arguments.list:
        return run_on_devices(names, lambda name: _list(session, name), session)
    if session.dry_run:
        rollback = arguments.rollback
        return run_on_devices(names, lambda n: _plan(session, n, rollback=rollback), session)
    if arguments.rollback:
        return run_on_devices(names, lambda name: _roll_back(session, name), session)
    return run_devices(arguments, session)


def run_devices(arguments: argparse.Namespace, session: Session) -> Outcome:
    """Installs on `arguments.device`; the other arguments of this verb may be absent."""
    from edgesmith.devices.install import FlashOptions

    options = FlashOptions(
        self_test=not getattr(arguments, "no_self_test", False),
        allow_downgrade=getattr(arguments, "allow_downgrade", False),
    )
    names = session.project().device_names(arguments.device)
    return run_on_devices(
        names, lambda name: _shown(session, flash_device(session, name, options)), session
    )


def flash_device(
    session: Session, device_name: str, options: FlashOptions | None = None
) -> Installation:
    """Installs the target's bundle on one device; raises as `devices.install.flash` does."""
    from edgesmith.devices.install import flash

    project = session.project()
    device = project.device(device_name)
    folder = project.stage_folder("bundle", device.target)
    return flash(folder, device, events=session.events, options=options)


def run_on_devices(
    names: Sequence[str], act: Callable[[str], DeviceResult], session: Session
) -> Outcome:
    """The outcome over all devices; the error of a single device is raised as it is."""
    from edgesmith.devices.each import attempt_each, smallest_failure

    attempts = attempt_each(names, act)
    if len(attempts) == 1 and attempts[0].error is not None:
        raise attempts[0].error
    for attempt in attempts:
        if attempt.error is not None:
            session.events.warning(f"device '{attempt.device}'\n{attempt.error.render()}")
    codes = [_exit_code(attempt) for attempt in attempts]
    return Outcome(
        data={"devices": [_data(attempt) for attempt in attempts]},
        text="\n".join(_text(attempt) for attempt in attempts),
        exit_code=smallest_failure(codes),
    )


def _exit_code(attempt: Attempt[DeviceResult]) -> int:
    if attempt.value is not None:
        return attempt.value.exit_code
    return attempt.error.exit_code if attempt.error is not None else 0


def _data(attempt: Attempt[DeviceResult]) -> dict[str, Any]:
    shown = attempt.value.data if attempt.value is not None else {}
    error = attempt.error.record() if attempt.error is not None else None
    return {
        "device": attempt.device,
        **shown,
        "exit_code": _exit_code(attempt),
        "error": error,
    }


def _text(attempt: Attempt[DeviceResult]) -> str:
    if attempt.value is not None:
        return attempt.value.text
    return f"{attempt.device}: failed, exit code {_exit_code(attempt)}"


def _shown(session: Session, done: Installation) -> DeviceResult:
    from edgesmith.report.numbers import format_bytes

    model = session.project().settings.model.name
    back = f", before it {done.previous_id[:16]}" if done.previous_id else ""
    text = (
        f"{done.device}: {model} {done.version} ({done.bundle_id[:16]}) is installed in"
        f" {done.root}/{model}{back}; self-test {done.self_test};"
        f" {format_bytes(done.sent_bytes)} sent, {format_bytes(done.reused_bytes)} there already"
    )
    return DeviceResult(data=done.record(), text=text)


def _roll_back(session: Session, name: str) -> DeviceResult:
    from edgesmith.devices.install import roll_back

    project = session.project()
    releases = roll_back(project.settings.model.name, project.device(name), events=session.events)
    current = next((r for r in releases if r.current), None)
    text = f"{name}: now {current.version} ({current.id[:16]})" if current else f"{name}: nothing"
    return DeviceResult(data={"releases": [r.record() for r in releases]}, text=text)


def _list(session: Session, name: str) -> DeviceResult:
    from edgesmith.devices.install import installed_releases

    project = session.project()
    device = project.device(name)
    model = project.settings.model.name
    releases = installed_releases(model, device, events=session.events)
    lines = [f"{name}: {device.root}/{model}" + ("" if releases else ": nothing is installed")]
    for one in releases:
        role = "current" if one.current else "previous" if one.previous else "old"
        lines.append(f"  {role:<9} {one.version:<10} {one.id[:16]}")
    data = {"root": device.root, "releases": [r.record() for r in releases]}
    return DeviceResult(data=data, text="\n".join(lines))


def is_built(folder: Path, target: str) -> bool:
    """Whether there is a bundle; one that is damaged raises IntegrityError, as it would later."""
    from edgesmith.devices.release import open_release

    built = folder.exists()
    if built:
        open_release(folder, target=target)
    return built


def _plan(session: Session, name: str, *, rollback: bool) -> DeviceResult:
    """What would be done, found without touching the device."""
    project = session.project()
    device = project.device(name)
    where = f"{device.root}/{project.settings.model.name}"
    if rollback:
        text = f"{name}: would make the release before the current one again, in {where}"
        return DeviceResult(data={"would": "rollback", "folder": where}, text=text)
    folder = project.stage_folder("bundle", device.target)
    built = is_built(folder, device.target)
    text = f"{name}: would install the bundle {folder} in {where}"
    if not built:
        text += f"; it is not built yet: edgesmith build --target {device.target}"
    data = {"would": "flash", "bundle": str(folder), "built": built, "folder": where}
    return DeviceResult(data=data, text=text)
