"""What a device has of NVIDIA's driver and libraries, found by a script for its shell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.probe import ELF_IDENTITIES, SHELL_HINT, device_script, unreadable
from edgesmith.devices.transport import RemoteCommand, Transport
from edgesmith.platforms import ElfFacts
from edgesmith.report.plain import clean

# What gpu.sh says of a library that is there in some way.
PLACES = ("searched", "uncached", "outside", "foreign", "other")
_KEYS = {"driver", "gpu", "missing", *PLACES}
_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}", re.ASCII)
_WORDS = 4


@dataclass(frozen=True, kw_only=True)
class DeviceLibrary:
    """A library, or what stands in its place.

    `place` is one of PLACES, as gpu.sh explains them; `file` the name of what a link leads to;
    `identity` the ELF class and machine in hex, or a dash.
    """

    place: str
    file: str
    identity: str
    path: str

    @property
    def version(self) -> str:
        """As far as the names of file and link tell it."""
        ends = (name.rpartition(".so.")[2] for name in (self.file, self.path))
        return next((end for end in ends if _VERSION.fullmatch(end)), "")

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0] or "/"


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """What the script found; a library that is nowhere is not among `libraries`.

    `driver` is the version of the loaded driver, empty where there is none.
    """

    driver: str
    gpus: tuple[str, ...]
    libraries: Mapping[str, DeviceLibrary]


def look_for_gpu(
    transport: Transport, elf: ElfFacts, libraries: Sequence[str], deadline: Deadline
) -> GpuFacts:
    """Asks the device for its driver and for `libraries`; raises DeviceError."""
    identity = ELF_IDENTITIES.get((elf.machine, elf.bits), "")
    words = [transport.system_root, identity, *libraries]
    command = RemoteCommand(
        argv=["sh", "-c", device_script("gpu.sh"), "gpu", *words],
        purpose=f"{transport.device}: asking what the device has of NVIDIA's",
        hint=SHELL_HINT,
    )
    output = transport.run(command, deadline=deadline).output
    return parse(output.splitlines(), transport.device)


def parse(lines: Sequence[str], device: str) -> GpuFacts:
    """The facts in the script's lines, harmless to print; raises DeviceError for an answer that
    is none."""
    driver: str | None = None
    gpus: list[str] = []
    libraries: dict[str, DeviceLibrary] = {}
    for line in lines:
        key, _, value = clean(line).partition(" ")
        value = value.strip()
        if key not in _KEYS:
            raise unreadable(lines, device)
        if key == "driver":
            driver = value if _VERSION.fullmatch(value) else ""
        elif key == "gpu":
            gpus.append(value)
        elif key in PLACES:
            words = value.split(" ", _WORDS - 1)
            if len(words) != _WORDS:
                raise unreadable(lines, device)
            name, file, identity, path = words
            found = DeviceLibrary(place=key, file=file, identity=identity, path=path)
            libraries.setdefault(name, found)
    if driver is None:
        raise unreadable(lines, device)
    return GpuFacts(driver=driver, gpus=tuple(gpus), libraries=libraries)
