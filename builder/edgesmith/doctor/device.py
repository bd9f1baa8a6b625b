"""A device: whether it answers, is of the target's kind, and takes what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.install import MACHINES
from edgesmith.devices.registry import connected
from edgesmith.devices.transport import Transport
from edgesmith.doctor.check import Check, failed
from edgesmith.doctor.host import disk
from edgesmith.errors import DeviceError, EdgesmithError
from edgesmith.events import EventStream
from edgesmith.project.project import ON_THIS_MACHINE, Device, Target

_TIMEOUT_S = 15.0
# Two releases side by side, and the measurement's scratch folder.
_MIN_FREE_BYTES = 200_000_000


def check_device(device: Device, target: Target, events: EventStream) -> Iterator[Check]:
    """Nothing is changed on the device."""
    part = f"device {device.name}"
    deadline = Deadline.after(_TIMEOUT_S)
    try:
        with connected(device, events) as transport:
            machine = transport.machine(deadline)
            root = _root(part, device, transport, deadline)
    except EdgesmithError as error:
        yield failed(part, "answers", error)
        return
    expected = MACHINES[target.platform.elf.machine]
    yield Check(
        part=part,
        name="answers",
        passed=machine in expected,
        found=f"through {device.transport}, a machine of kind {machine}",
        remedy=f"the target '{target.name}' is for {expected[0]}: name another target or device",
        exit_code=DeviceError.exit_code,
    )
    yield root


def _root(part: str, device: Device, transport: Transport, deadline: Deadline) -> Check:
    otherwise = f"set devices.{device.name}.root to another folder"
    if device.transport in ON_THIS_MACHINE:
        folder = disk(part, "root", Path(device.root), otherwise, min_bytes=_MIN_FREE_BYTES)
        return Check(**{**vars(folder), "exit_code": DeviceError.exit_code})
    room = transport.room(deadline)
    enough = room.writable and room.free_bytes >= _MIN_FREE_BYTES
    found = f"{room.free_bytes / 1e9:.1f} GB free at {transport.root}"
    return Check(
        part=part,
        name="root",
        passed=enough,
        found=found if room.writable else f"{room.folder} can't be written",
        remedy=f"free {_MIN_FREE_BYTES / 1e9:.1f} GB there, or {otherwise}"
        if room.writable
        else f"make {room.folder} writable for your login there, or {otherwise}",
        exit_code=DeviceError.exit_code,
    )
