"""The compiler behind a toolchain: found and asked what it is before anything is built."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgesmith.bundle.elf import read_elf
from edgesmith.compile import tools
from edgesmith.errors import ToolchainError
from edgesmith.events import EventStream
from edgesmith.platforms import Platform, runs_here
from edgesmith.process import Command, run
from edgesmith.resources import resource_folder
from edgesmith.toolchains import Toolchain

# The clang inside each release of Zig, as Conan's settings name it.
CLANG_OF_ZIG = {"0.17": "22"}
INSTEAD = 'or set toolchain = "zig", which needs no system compiler'
PROBE = "probe"
_FACTS = re.compile(rb"edgesmith-probe (\w+) ([\d.]+) ([\w+]+) (\w+) ([\d.]+);")
_TIMEOUT_S = 300.0
_NATIVE_COMMANDS = {
    "apt-get": "apt-get install g++",
    "dnf": "dnf install gcc-c++",
    "zypper": "zypper install gcc-c++",
    "pacman": "pacman -S gcc",
}


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A compiler as Conan's settings name it.

    `abi` names compiler and C library in full, and is part of Conan's package ids. `executables`
    are those for C and C++, where no toolchain file says it. `environment` holds the variables
    that a toolchain file reads.
    """

    toolchain: Toolchain
    title: str
    name: str
    version: str
    libcxx: str
    abi: str
    executables: tuple[str, str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_zig(self) -> bool:
        return self.toolchain.kind == "zig"


@dataclass(frozen=True, kw_only=True)
class ProbeFacts:
    """What the probe program says about how it was made."""

    compiler: str
    version: str
    libcxx: str
    c_library: str

    @property
    def conan_version(self) -> str:
        """Conan knows compilers by their major version."""
        return self.version.partition(".")[0]

    @property
    def text(self) -> str:
        return f"{self.compiler}-{self.version}-{self.c_library}"


def system_compiler(
    toolchain: Toolchain, platform: Platform, *, cache: Path, events: EventStream
) -> Compiler:
    """The compiler of a toolchain that is not Zig, proven to build for the platform.

    Raises ToolchainError when it is missing or builds for something else, and UsageError for a
    toolchain file that is not there.
    """
    if toolchain.kind == "gcc":
        return _gcc(toolchain, platform, cache, events)
    from edgesmith.compile.toolchain_file import compiler_of_file

    return compiler_of_file(toolchain, platform, cache=cache, events=events)


def zig_compiler(platform: Platform, zig_version: str) -> Compiler:
    """Zig, which is asked nothing: its version says all."""
    return Compiler(
        toolchain=Toolchain(kind="zig", name="zig"),
        title=f"Zig {zig_version}",
        name="clang",
        version=clang_version(zig_version),
        libcxx="libc++",
        abi=f"zig-{zig_version}-{platform.zig.target}",
    )


def clang_version(zig_version: str) -> str:
    """The major version of the clang inside Zig."""
    return CLANG_OF_ZIG[".".join(zig_version.split(".")[:2])]


def _gcc(toolchain: Toolchain, platform: Platform, cache: Path, events: EventStream) -> Compiler:
    prefix = "" if runs_here(platform.elf) else f"{platform.gcc_prefix}-"
    executables = (f"{prefix}gcc", f"{prefix}g++")
    for name in reversed(executables):
        if shutil.which(name, path=tools.search_path()) is None:
            raise ToolchainError(
                f"{name} is not on the PATH",
                where=f"toolchain = gcc, {platform.name}",
                hint=f"run: {_install_command(platform)} (as root), {INSTEAD}",
            )
    with tempfile.TemporaryDirectory() as folder:
        source = resource_folder("templates") / "toolchain_probe" / "probe.cpp"
        command = Command(
            argv=[executables[1], "-O2", source, "-o", Path(folder) / PROBE],
            purpose=f"asking {executables[1]} what it is",
            hint=f"see the compiler's message; reinstall it, {INSTEAD}",
            timeout_s=_TIMEOUT_S,
            cwd=Path(folder),
            env=tools.build_environment(cache),
        )
        run(command, events=events)
        facts = read_probe(Path(folder), platform, where=executables[1])
    return Compiler(
        toolchain=toolchain,
        title=f"gcc {facts.version} ({executables[1]})",
        name=facts.compiler,
        version=facts.conan_version,
        libcxx=facts.libcxx,
        abi=f"{facts.text}-{platform.gcc_prefix}",
        executables=executables,
    )


def _install_command(platform: Platform) -> str:
    if not runs_here(platform.elf):
        return f"apt-get install g++-{platform.gcc_prefix.replace('_', '-')}"
    found = next((c for p, c in _NATIVE_COMMANDS.items() if shutil.which(p)), None)
    return found or _NATIVE_COMMANDS["apt-get"]


def read_probe(folder: Path, platform: Platform, *, where: str) -> ProbeFacts:
    """What the probe in `folder` says; raises ToolchainError when devices could not run it."""
    elf, expected = read_elf(folder, PROBE), platform.elf
    if (elf.machine, elf.bits) != (expected.machine, expected.bits):
        raise _unfit(
            f"compiles for {elf.machine}, {elf.bits} bits; {platform.name} is"
            f" {expected.machine}, {expected.bits} bits",
            where,
        )
    found = _FACTS.search((folder / PROBE).read_bytes())
    compiler, version, libcxx, c_library, c_version = (
        (group.decode() for group in found.groups()) if found else ("unknown", "0", "", "other", "")
    )
    if compiler not in ("gcc", "clang"):
        raise _unfit("is neither gcc nor clang", where)
    if c_library != "glibc" or (elf.interpreter and elf.interpreter != expected.interpreter):
        loader = elf.interpreter or "none"
        raise _unfit(
            f"compiles for a C library other than {platform.name}'s glibc (loader {loader})", where
        )
    return ProbeFacts(
        compiler=compiler, version=version, libcxx=libcxx, c_library=f"{c_library}-{c_version}"
    )


def _unfit(finding: str, where: str) -> ToolchainError:
    return ToolchainError(
        f"the toolchain {finding}",
        where=where,
        hint=f"name the platform that it compiles for, {INSTEAD}",
    )
