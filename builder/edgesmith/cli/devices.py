"""edgesmith devices: the inventory, what is installed there, and what answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgesmith.cli.session import Outcome, Session

if TYPE_CHECKING:
    from edgesmith.devices.inventory import DeviceState

EXAMPLES = (
    "edgesmith devices",
    "edgesmith devices --device desk --format json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="D",
        help="only this device; may repeat (default: all)",
    )


def run(arguments: argparse.Namespace, session: Session) -> Outcome:
    from edgesmith.devices.inventory import look_at
    from edgesmith.project.project import ALL

    project = session.project()
    if not project.settings.devices:
        return Outcome(data={"devices": []}, text=f"{project.file.name} has no [devices]")
    names = project.device_names(arguments.device or [ALL])
    model = project.settings.model.name
    ask = not session.dry_run
    states = [look_at(project.device(n), model, events=session.events, ask=ask) for n in names]
    return Outcome(data={"devices": [s.record() for s in states]}, text=_table(states))


def _table(states: list[DeviceState]) -> str:
    from edgesmith.report.plain import clean, display_width, pad

    heads = ("DEVICE", "TARGET", "TRANSPORT", "ANSWERS", "INSTALLED", "ROOT")
    rows = [heads, *(tuple(clean(cell) for cell in _cells(state)) for state in states)]
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(heads))]
    lines = ["  ".join(pad(c, w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    reasons = [f"{s.name}: {clean(s.reason)}" for s in states if s.reason]
    return "\n".join([*lines, *([""] if reasons else []), *reasons])


def _cells(state: DeviceState) -> tuple[str, ...]:
    answers = {True: f"yes ({state.machine})", False: "no", None: "not asked"}[state.answers]
    installed = f"{state.version} ({state.bundle_id[:8]})" if state.bundle_id else "-"
    return state.name, state.target, state.transport, answers, installed, state.root
