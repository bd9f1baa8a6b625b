"""What a bundle needs against what a device has; the probe's answers are those of real systems."""

from __future__ import annotations

from typing import Any

import pytest

from edgesmith.devices.preflight import lacks
from edgesmith.devices.probe import DeviceFacts, parse
from edgesmith.errors import DeviceError

REQUIRES: dict[str, Any] = {
    "elf": {"machine": "EM_AARCH64", "bits": 64},
    "interpreter": "/lib/ld-linux-aarch64.so.1",
    "glibc": "2.28",
    "libstdc++": {"glibcxx": "3.4.22", "cxxabi": "1.3.11"},
    "libgcc": "4.5.0",
    "libraries": ["libc.so.6", "libstdc++.so.6"],
    "cpu_features": [],
}
RIGHT = """shell 02b700
loader yes
library libc.so.6
version GLIBC_2.17
version GLIBC_2.36
library libstdc++.so.6
version GLIBCXX_3.4.30
version CXXABI_1.3.13
version GCC_12.0.0
features fp asimd
"""


def facts(text: str = RIGHT) -> DeviceFacts:
    return parse(text.splitlines(), "pi")


def test_a_device_that_has_all() -> None:
    found = facts()
    assert found.versions["GLIBC"] == (2, 36)
    assert found.features == {"fp", "asimd"}
    assert lacks(REQUIRES, found) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("GLIBC_2.36", "GLIBC_2.27"), "GLIBC: needed 2.28, found 2.27"),
        (("GLIBCXX_3.4.30", "GLIBCXX_3.4.21"), "GLIBCXX: needed 3.4.22, found 3.4.21"),
        (("CXXABI_1.3.13", "CXXABI_1.3.9"), "CXXABI: needed 1.3.11, found 1.3.9"),
        (("version GCC_12.0.0\n", ""), "GCC: needed 4.5.0, found none"),
        (("loader yes", "loader no"), "loader: needed /lib/ld-linux-aarch64.so.1"),
        (("library libstdc++", "missing libstdc++"), "library: needed libstdc++.so.6"),
        # A 32-bit userland on a 64-bit kernel: uname -m would say aarch64.
        (("shell 02b700", "shell 012800"), "programs: needed EM_AARCH64, 64 bits, found EM_ARM"),
        (("shell 02b700", "shell 02f300"), "found ELF class and machine 02f300 (its /bin/sh)"),
    ],
)
def test_each_lack_is_told(change: tuple[str, str], said: str) -> None:
    (lack,) = lacks(REQUIRES, facts(RIGHT.replace(*change)))
    assert said in lack.render()


def test_cpu_features() -> None:
    (lack,) = lacks({**REQUIRES, "cpu_features": ["asimd", "asimddp"]}, facts())
    assert lack.needed == "asimddp"
    # Raspberry Pi OS of 32 bits runs a 64-bit kernel, whose /proc/cpuinfo has other names.
    assert lacks({**REQUIRES, "cpu_features": ["neon", "vfpv3"]}, facts()) == ()
    without_proc = facts(RIGHT.replace("features fp asimd\n", ""))
    assert lacks({**REQUIRES, "cpu_features": ["asimddp"]}, without_proc) == ()


def test_a_version_of_thousands_of_digits_is_none() -> None:
    assert facts(RIGHT + f"version GLIBC_{'9' * 5000}\n").versions["GLIBC"] == (2, 36)


def test_a_login_that_talks_is_told() -> None:
    with pytest.raises(DeviceError, match=r"cannot be read: Welcome"):
        facts("Welcome to my board\n" + RIGHT)
