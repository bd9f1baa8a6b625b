"""Whether a bundle would run on a device: what it needs against what the device has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgesmith.devices.probe import ELF_IDENTITIES, DeviceFacts
from edgesmith.errors import DeviceError
from edgesmith.platforms import Platform

_MACHINES = {identity: machine for (machine, _), identity in ELF_IDENTITIES.items()}
# A 64-bit kernel names a core's features as 64-bit programs know them, also to 32-bit ones.
_IMPLIED = {"asimd": frozenset({"neon", "vfp", "vfpv3", "vfpv4"})}
_BITS = {identity: bits for (_, bits), identity in ELF_IDENTITIES.items()}


@dataclass(frozen=True, kw_only=True)
class Lack:
    """One thing that a device lacks."""

    what: str
    needed: str
    found: str

    def render(self) -> str:
        return f"{self.what}: needed {self.needed}, found {self.found}"


def platform_requires(platform: Platform) -> dict[str, Any]:
    """What a bundle for the platform may need at most, in the form of a manifest's `requires`."""
    floors = platform.floors
    return {
        "elf": {"machine": platform.elf.machine, "bits": platform.elf.bits},
        "interpreter": platform.elf.interpreter,
        "glibc": floors.get("GLIBC"),
        "libstdc++": {"glibcxx": floors.get("GLIBCXX"), "cxxabi": floors.get("CXXABI")},
        "libgcc": floors.get("GCC"),
        "libraries": ["libc.so.6", "libgcc_s.so.1", "libm.so.6", "libstdc++.so.6"],
        "cpu_features": list(platform.cpu_features),
    }


def lacks(requires: Mapping[str, Any], facts: DeviceFacts) -> tuple[Lack, ...]:
    """All that keeps a bundle with these `requires` from running; nothing when it would run."""
    return tuple(_lacks(requires, facts))


def require_runnable(requires: Mapping[str, Any], facts: DeviceFacts, device: str) -> None:
    """Raises DeviceError that names everything that is missing at once."""
    found = lacks(requires, facts)
    if not found:
        return
    raise DeviceError(
        f"the bundle would not run on device '{device}'\n"
        + "\n".join(f"    {lack.render()}" for lack in found),
        where=f"devices.{device}",
        hint="build for the platform that the device has, or update its system; nothing was"
        " changed there",
    )


def identity_title(shell: str) -> str:
    """An ELF identity in words."""
    if shell not in _MACHINES:
        return f"ELF class and machine {shell}"
    return f"{_MACHINES[shell]}, {_BITS[shell]} bits"


def _lacks(requires: Mapping[str, Any], facts: DeviceFacts) -> Iterator[Lack]:
    elf = requires["elf"]
    identity = ELF_IDENTITIES.get((elf["machine"], elf["bits"]))
    if facts.shell and identity and facts.shell != identity:
        # Nothing else can be said of a system of another kind.
        yield Lack(
            what="programs",
            needed=f"{elf['machine']}, {elf['bits']} bits",
            found=identity_title(facts.shell) + " (its /bin/sh)",
        )
        return
    if requires["interpreter"] and not facts.loader:
        yield Lack(what="loader", needed=requires["interpreter"], found="no such file")
    for name in facts.missing:
        yield Lack(what="library", needed=name, found="none of this machine's kind")
    for kind, text in _versions(requires).items():
        newest = facts.versions.get(kind)
        if newest is None:
            if not facts.missing:
                yield Lack(what=kind, needed=text, found="none")
        elif newest < tuple(map(int, text.split("."))):
            yield Lack(what=kind, needed=text, found=".".join(map(str, newest)))
    features = facts.features.union(*(_IMPLIED.get(name, ()) for name in facts.features))
    for feature in requires.get("cpu_features", ()):
        # Without /proc nothing can be told here, and the self-test before the switch decides.
        if features and feature not in features:
            yield Lack(what="CPU feature", needed=feature, found="not in /proc/cpuinfo")


def _versions(requires: Mapping[str, Any]) -> dict[str, str]:
    """Symbol version kinds and the newest that is needed of each."""
    standard = requires.get("libstdc++") or {}
    needed = {
        "GLIBC": requires.get("glibc"),
        "GLIBCXX": standard.get("glibcxx"),
        "CXXABI": standard.get("cxxabi"),
        "GCC": requires.get("libgcc"),
    }
    return {kind: str(version) for kind, version in needed.items() if version}
