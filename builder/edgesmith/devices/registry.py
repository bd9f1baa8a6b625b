"""Which transports there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgesmith.cache import cache_root
from edgesmith.devices.command import CommandTransport, Tools
from edgesmith.devices.emulation import chosen_cpu, make_emulator
from edgesmith.devices.local import LocalTransport
from edgesmith.devices.qemu_user import QemuUserTransport
from edgesmith.devices.ssh import SshTransport
from edgesmith.devices.ssh_options import SshAddress
from edgesmith.devices.transport import Transport
from edgesmith.events import EventStream
from edgesmith.host_keys import parse_host_key

if TYPE_CHECKING:
    from edgesmith.project.project import Device

Maker = Callable[["Device", EventStream], Transport]


def _local(device: Device, events: EventStream) -> Transport:
    return LocalTransport(device=device.name, root=device.root, events=events)


def _qemu_user(device: Device, events: EventStream) -> Transport:
    cpu = chosen_cpu(device.cpu, device.machine, f"devices.{device.name}.cpu")
    emulator = make_emulator(cpu, cache_root() / "sysroots")
    return QemuUserTransport(device=device.name, root=device.root, events=events, emulator=emulator)


def _ssh(device: Device, events: EventStream) -> Transport:
    reach = device.reach
    to = SshAddress(
        address=reach.address,
        port=reach.port,
        host_key=parse_host_key(reach.host_key) if reach.host_key else None,
    )
    return SshTransport(device=device.name, root=device.root, to=to, events=events)


def _command(device: Device, events: EventStream) -> Transport:
    reach = device.reach
    tools = Tools(push=reach.push, exec=reach.exec, fetch=reach.fetch)
    return CommandTransport(device=device.name, root=device.root, tools=tools, events=events)


TRANSPORTS: dict[str, Maker] = {
    "local": _local,
    "qemu-user": _qemu_user,
    "ssh": _ssh,
    "command": _command,
}


def connect(device: Device, events: EventStream) -> Transport:
    """The transport of a device; nothing is sent yet.

    Raises UsageError for a bad root or CPU, DeviceError when a program that it needs is missing.
    """
    return TRANSPORTS[device.transport](device, events)


@contextmanager
def connected(
    device: Device, events: EventStream, given: Transport | None = None
) -> Iterator[Transport]:
    """The device's transport, closed at the end; one that is given is its owner's to close."""
    if given is not None:
        yield given
        return
    with connect(device, events) as transport:
        yield transport
