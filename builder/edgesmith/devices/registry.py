"""Which transports there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgesmith.cache import cache_root
from edgesmith.devices.emulation import chosen_cpu, make_emulator
from edgesmith.devices.local import LocalTransport
from edgesmith.devices.qemu_user import QemuUserTransport
from edgesmith.devices.transport import Transport
from edgesmith.events import EventStream

if TYPE_CHECKING:
    from edgesmith.project.project import Device

Maker = Callable[["Device", EventStream], Transport]


def _local(device: Device, events: EventStream) -> Transport:
    return LocalTransport(device=device.name, root=str(device.root), events=events)


def _qemu_user(device: Device, events: EventStream) -> Transport:
    cpu = chosen_cpu(device.cpu, device.machine, f"devices.{device.name}.cpu")
    emulator = make_emulator(cpu, cache_root() / "sysroots")
    return QemuUserTransport(
        device=device.name, root=str(device.root), events=events, emulator=emulator
    )


TRANSPORTS: dict[str, Maker] = {"local": _local, "qemu-user": _qemu_user}


def connect(device: Device, events: EventStream) -> Transport:
    """The transport of a device; nothing is sent yet.

    Raises UsageError for a bad root or CPU, DeviceError when a program that it needs is missing.
    """
    return TRANSPORTS[device.transport](device, events)
