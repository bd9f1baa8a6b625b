"""What a device is and has, asked without changing anything there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.installer import Installer
from edgesmith.devices.registry import connected
from edgesmith.errors import EdgesmithError
from edgesmith.events import EventStream

if TYPE_CHECKING:
    from edgesmith.project.project import Device

_TIMEOUT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """A device of the project; `answers` is None when it was not asked.

    `bundle_id` and `version` are those of the current release, empty when nothing is installed;
    `reason` says why it does not answer.
    """

    name: str
    target: str
    transport: str
    root: str
    answers: bool | None
    machine: str = ""
    bundle_id: str = ""
    version: str = ""
    previous_id: str = ""
    reason: str = ""

    def record(self) -> dict[str, Any]:
        return asdict(self)


def look_at(device: Device, model: str, *, events: EventStream, ask: bool = True) -> DeviceState:
    """The device's state; a device that does not answer is a state, not an error."""
    facts: dict[str, Any] = {
        "name": device.name,
        "target": device.target,
        "transport": device.transport,
        "root": device.root,
    }
    if not ask:
        return DeviceState(**facts, answers=None)
    try:
        found = _ask(device, model, events)
    except EdgesmithError as error:
        return DeviceState(**facts, answers=False, reason=f"{error.what}; {error.hint}")
    return DeviceState(**facts, answers=True, **found)


def _ask(device: Device, model: str, events: EventStream) -> dict[str, str]:
    deadline = Deadline.after(_TIMEOUT_S)
    with connected(device, events) as transport:
        machine = transport.machine(deadline)
        releases = Installer(transport, model).releases(deadline)
    current = next((r for r in releases if r.current), None)
    previous = next((r for r in releases if r.previous), None)
    return {
        "machine": machine,
        "bundle_id": current.id if current else "",
        "version": current.version if current else "",
        "previous_id": previous.id if previous else "",
    }
