"""Which transports there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesmith.devices.local import LocalTransport
from edgesmith.devices.transport import Transport
from edgesmith.events import EventStream

if TYPE_CHECKING:
    from edgesmith.project.project import Device

TRANSPORTS: dict[str, type[Transport]] = {"local": LocalTransport}


def connect(device: Device, events: EventStream) -> Transport:
    """The transport of a device; nothing is sent yet. Raises UsageError for a bad root."""
    return TRANSPORTS[device.transport](device=device.name, root=str(device.root), events=events)
