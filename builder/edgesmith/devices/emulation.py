"""QEMU's user-mode emulation: its programs, the CPUs it can stand for, and a device's sysroot."""

from __future__ import annotations

import functools
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgesmith.errors import DeviceError, UsageError
from edgesmith.files import host_file_errors

ARM_LIMITED = 0x41
_CPU_FILES = {"possible": "0", "present": "0", "online": "0", "kernel_max": "0"}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What emulating an ELF machine takes on this host.

    `links` are the sysroot's folders and what they stand for here: where Debian's cross packages
    put the machine's C library, or the host's own system. `packages` are those that are needed.
    `uname` is what such a device says.
    """

    qemu: str
    uname: str
    architecture: int
    default_cpu: str
    links: Mapping[str, str]
    packages: tuple[str, ...] = ()


MACHINES: Mapping[str, Machine] = MappingProxyType({
    "EM_X86_64": Machine(
        qemu="qemu-x86_64",
        uname="x86_64",
        architecture=0,
        default_cpu="haswell",
        links={name: f"/{name}" for name in ("bin", "lib", "lib64", "usr")},
    ),
    "EM_AARCH64": Machine(
        qemu="qemu-aarch64",
        uname="aarch64",
        architecture=8,
        default_cpu="cortex-a53",
        links={"lib": "/usr/aarch64-linux-gnu/lib"},
        packages=("libc6-arm64-cross", "libstdc++6-arm64-cross"),
    ),
    "EM_ARM": Machine(
        qemu="qemu-arm",
        uname="armv7l",
        architecture=7,
        default_cpu="cortex-a7",
        links={"lib": "/usr/arm-linux-gnueabihf/lib"},
        packages=("libc6-armhf-cross", "libstdc++6-armhf-cross"),
    ),
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EmulatedCpu:
    """A core: QEMU's name of it and the facts of its /proc/cpuinfo."""

    name: str
    machine: str
    qemu: str
    part: str = ""
    variant: str = ""
    revision: int = 0
    features: str = ""

    def cpuinfo(self) -> str:
        """What a board with one such core says in /proc/cpuinfo."""
        name = f"{self.name} (emulated)"
        if self.machine == "EM_X86_64":
            return f"processor\t: 0\nmodel name\t: {name}\nflags\t\t: {self.features}\n\n"
        fields: dict[str, Any] = {
            "processor": 0,
            "model name": name,
            "BogoMIPS": "100.00",
            "Features": self.features,
            "CPU implementer": f"{ARM_LIMITED:#x}",
            "CPU architecture": MACHINES[self.machine].architecture,
            "CPU variant": self.variant,
            "CPU part": self.part,
            "CPU revision": self.revision,
        }
        return "".join(f"{key}\t: {value}\n" for key, value in fields.items()) + "\n"


@functools.cache
def emulated_cpus() -> Mapping[str, EmulatedCpu]:
    """All CPUs by name."""
    text = resources.files("edgesmith.devices").joinpath("emulated_cpus.toml").read_text("utf-8")
    return MappingProxyType({k: EmulatedCpu(name=k, **v) for k, v in tomllib.loads(text).items()})


def chosen_cpu(name: str | None, machine: str, where: str) -> EmulatedCpu:
    """The CPU of that name, or the machine's default; raises UsageError for one that can't be."""
    fitting = sorted(cpu.name for cpu in emulated_cpus().values() if cpu.machine == machine)
    wanted = (name or MACHINES[machine].default_cpu).lower()
    if wanted not in fitting:
        raise UsageError(
            f"QEMU can't stand for '{name}' here", where=where, hint=f"one of: {', '.join(fitting)}"
        )
    return emulated_cpus()[wanted]


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """Runs programs of one CPU on this host; they see files of `sysroot` before the host's."""

    program: Path
    cpu: EmulatedCpu
    sysroot: Path

    @property
    def argv(self) -> tuple[str, ...]:
        """What stands before a program and its arguments."""
        return (str(self.program), "-cpu", self.cpu.qemu, "-L", str(self.sysroot))


def find_qemu(machine: str) -> Path:
    """The static or dynamic QEMU of PATH; raises DeviceError with the command that installs it."""
    name = MACHINES[machine].qemu
    for candidate in (f"{name}-static", name):
        found = shutil.which(candidate)
        if found:
            return Path(found)
    raise DeviceError(
        f"{name} is not installed: it runs the device's programs on this machine",
        where="transport = 'qemu-user'",
        hint="run: apt-get install qemu-user-static",
    )


def make_emulator(cpu: EmulatedCpu, folder: Path) -> Emulator:
    """The emulator of `cpu`, its sysroot written below `folder`.

    Raises DeviceError when QEMU or the machine's C library is missing, HostFileError.
    """
    program, machine = find_qemu(cpu.machine), MACHINES[cpu.machine]
    missing = [there for there in machine.links.values() if not Path(there).is_dir()]
    if missing and machine.packages:
        raise DeviceError(
            f"the C library for {machine.uname} is not installed: emulated programs load it",
            where=missing[0],
            hint=f"run: apt-get install {' '.join(machine.packages)}",
        )
    sysroot = folder / cpu.name
    with host_file_errors(sysroot):
        _write_sysroot(sysroot, machine.links, cpu)
    return Emulator(program=program, cpu=cpu, sysroot=sysroot)


def _write_sysroot(sysroot: Path, links: Mapping[str, str], cpu: EmulatedCpu) -> None:
    """QEMU looks below it first for every path that the program opens."""
    for folder in ("proc", "sys/devices/system/cpu"):
        (sysroot / folder).mkdir(parents=True, exist_ok=True)
    for name, target in links.items():
        if Path(target).is_dir():
            _link(sysroot / name, target)
    (sysroot / "proc" / "cpuinfo").write_text(cpu.cpuinfo())
    for name, value in _CPU_FILES.items():
        (sysroot / "sys" / "devices" / "system" / "cpu" / name).write_text(f"{value}\n")


def _link(link: Path, target: str) -> None:
    if link.is_symlink() and str(link.readlink()) == target:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target)
