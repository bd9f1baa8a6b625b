"""A device: whether it answers, is of the target's kind, and takes what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.install import MACHINES
from edgesmith.devices.preflight import lacks, platform_requires
from edgesmith.devices.probe import ELF_IDENTITIES, DeviceFacts, probe
from edgesmith.devices.registry import connected
from edgesmith.devices.transport import Transport
from edgesmith.doctor.check import Check, failed
from edgesmith.doctor.gpu import check_gpu
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
            facts = probe(transport, platform_requires(target.platform), deadline)
            root = _root(part, device, transport, deadline)
            gpu = tuple(_gpu(part, device, transport, facts, target))
    except EdgesmithError as error:
        yield failed(part, "answers", error)
        return
    yield Check(
        part=part,
        name="answers",
        passed=True,
        found=f"through {device.transport}, a machine of kind {machine}",
        remedy="",
        exit_code=DeviceError.exit_code,
    )
    yield _system(part, machine, facts, target)
    yield from gpu
    yield root


def _gpu(
    part: str, device: Device, transport: Transport, facts: DeviceFacts, target: Target
) -> Iterator[Check]:
    """Of a machine of another kind there is no more to say than that."""
    elf = target.platform.elf
    if facts.shell in ("", ELF_IDENTITIES[elf.machine, elf.bits]):
        yield from check_gpu(part, transport, device, target)


def _system(part: str, machine: str, facts: DeviceFacts, target: Target) -> Check:
    """Judged by the system's own shell and libraries; the kernel may be of another kind."""
    expected = MACHINES[target.platform.elf.machine]
    missing = lacks(platform_requires(target.platform), facts)
    fits = not missing and (bool(facts.shell) or machine in expected)
    glibc = ".".join(map(str, facts.versions.get("GLIBC", ()))) or "not known"
    found = f"glibc {glibc}, as programs for {target.platform.name} need"
    if missing:
        found = "; ".join(lack.render() for lack in missing)
    elif not fits:
        found = f"a machine of kind {machine}, the target '{target.name}' is for {expected[0]}"
    return Check(
        part=part,
        name="system",
        passed=fits,
        found=found,
        remedy=f"update its system, or give the device another target than '{target.name}'",
        exit_code=DeviceError.exit_code,
    )


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
