"""What a device has, found by a script that needs nothing but its shell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import RemoteCommand, Transport
from edgesmith.errors import DeviceError
from edgesmith.report.plain import clean

# ELF class (1: 32 bits, 2: 64) and machine, in hex as they stand in a little-endian header.
ELF_IDENTITIES: Mapping[tuple[str, int], str] = {
    ("EM_X86_64", 64): "023e00",
    ("EM_AARCH64", 64): "02b700",
    ("EM_ARM", 32): "012800",
}
SHELL_HINT = "check that the device has a POSIX shell with od, tr, grep, sed, sort and cut"
_VERSION = re.compile(r"(GLIBC|GLIBCXX|CXXABI|GCC)_(\d{1,9}(?:\.\d{1,9})*)")


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """What the probe found.

    `shell` is the ELF identity of the device's /bin/sh, empty where there is none to ask;
    `versions` the newest symbol version of each kind in the libraries that were looked for.
    """

    shell: str
    loader: bool
    libraries: tuple[str, ...]
    missing: tuple[str, ...]
    versions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    features: frozenset[str] = frozenset()


def probe(transport: Transport, requires: Mapping[str, Any], deadline: Deadline) -> DeviceFacts:
    """Asks the device for what a bundle's `requires` names; raises DeviceError."""
    elf = requires["elf"]
    words = [transport.system_root, ELF_IDENTITIES.get((elf["machine"], elf["bits"]), "")]
    words += [str(requires["interpreter"]), *map(str, requires["libraries"])]
    command = RemoteCommand(
        argv=["sh", "-c", device_script("probe.sh"), "probe", *words],
        purpose=f"{transport.device}: asking what the device has",
        hint=SHELL_HINT,
    )
    return parse(transport.run(command, deadline=deadline).output.splitlines(), transport.device)


def device_script(name: str) -> str:
    """A script for a device's shell, with the functions that it shares with others."""
    folder = resources.files("edgesmith.devices")
    return "".join(folder.joinpath(one).read_text("utf-8") for one in ("libraries.sh", name))


def unreadable(lines: Sequence[str], device: str) -> DeviceError:
    """For an answer that is none."""
    return DeviceError(
        f"device '{device}' gave an answer that cannot be read: {clean(' | '.join(lines))[:200]}",
        where=f"devices.{device}",
        hint="see whether its login prints something of its own, and silence that",
    )


def parse(lines: Sequence[str], device: str) -> DeviceFacts:
    """The facts in the probe's lines; raises DeviceError for an answer that is none."""
    told: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition(" ")
        told.setdefault(key, []).append(value.strip())
    if "shell" not in told or not told.keys() <= _KEYS:
        raise unreadable(lines, device)
    return DeviceFacts(
        shell=told["shell"][0],
        loader=told.get("loader") == ["yes"],
        libraries=tuple(told.get("library", ())),
        missing=tuple(told.get("missing", ())),
        versions=_newest(told.get("version", ())),
        features=frozenset(" ".join(told.get("features", ())).split()),
    )


_KEYS = {"shell", "loader", "library", "missing", "version", "features"}


def _newest(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    newest: dict[str, tuple[int, ...]] = {}
    for name in names:
        found = _VERSION.fullmatch(name)
        if found:
            version = tuple(map(int, found[2].split(".")))
            newest[found[1]] = max(newest.get(found[1], ()), version)
    return newest
