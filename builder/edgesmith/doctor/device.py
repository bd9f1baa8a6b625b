"""A device: whether it answers, is of the target's kind, and takes what is sent."""

from __future__ import annotations

from collections.abc import Iterator

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.install import MACHINES
from edgesmith.devices.registry import connect
from edgesmith.doctor.check import Check, failed
from edgesmith.doctor.host import disk
from edgesmith.errors import DeviceError, EdgesmithError
from edgesmith.events import EventStream
from edgesmith.project.project import Device, Target

_TIMEOUT_S = 15.0
# Two releases side by side, and the measurement's scratch folder.
_MIN_FREE_BYTES = 200_000_000


def check_device(device: Device, target: Target, events: EventStream) -> Iterator[Check]:
    """Nothing is changed on the device."""
    part = f"device {device.name}"
    try:
        machine = connect(device, events).machine(Deadline.after(_TIMEOUT_S))
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
    folder = disk(
        part,
        "root",
        device.root,
        f"set devices.{device.name}.root to another folder",
        min_bytes=_MIN_FREE_BYTES,
    )
    yield Check(**{**vars(folder), "exit_code": DeviceError.exit_code})
