"""The transport to an emulated device: a folder here whose programs run in QEMU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.emulation import MACHINES, Emulator
from edgesmith.devices.local import LocalTransport
from edgesmith.devices.transport import Capabilities, RemoteCommand
from edgesmith.events import EventStream
from edgesmith.process import Completed


class QemuUserTransport(LocalTransport):
    """Files as for `local`; programs below the root are of another CPU and run emulated."""

    capabilities = Capabilities(
        runs_programs=True, exclusive=True, real_time=False, own_processes=True
    )

    def __init__(self, *, device: str, root: str, events: EventStream, emulator: Emulator) -> None:
        super().__init__(device=device, root=root, events=events)
        self._emulator = emulator

    @property
    def emulator_argv(self) -> tuple[str, ...]:
        return self._emulator.argv

    @property
    def system_root(self) -> str:
        return str(self._emulator.sysroot)

    def machine(self, deadline: Deadline) -> str:
        """The emulated device's, whatever this machine is."""
        return MACHINES[self._emulator.cpu.machine].uname

    def _run(
        self,
        command: RemoteCommand,
        *,
        deadline: Deadline,
        on_line: Callable[[str], None] | None,
    ) -> Completed:
        if command.argv[0].startswith(f"{self.root}/"):
            emulated = (*self._emulator.argv, *command.argv)
            command = dataclasses.replace(command, argv=emulated)
        return super()._run(command, deadline=deadline, on_line=on_line)
