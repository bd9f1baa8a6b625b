"""What is known about each platform that can be built for; the facts stand in platforms.toml."""

from __future__ import annotations

import functools
import platform as host
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

_HOST_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


@dataclass(frozen=True, kw_only=True)
class RuntimeFacts:
    """The prebuilt ONNX Runtime: a wheel, and the files taken out of it with their SHA-256.

    A project's own wheel has no `files` and no `soname`: both are found when its hash was checked.
    A project's own `folder` stands for a wheel; the rest is found in it (compile/own_runtime.py).

    `library` names the shared library inside the wheel; `soname` is what programs link with;
    `content_version` is ONNX Runtime's own version, where it is not that of the package.
    """

    package: str
    version: str
    flavor: str
    wheel_tag: str
    wheel_platform: str
    wheel_sha256: str
    library: str
    soname: str
    files: Mapping[str, str]
    content_version: str = ""
    folder: Path | None = None

    @property
    def library_version(self) -> str:
        """The version of ONNX Runtime itself."""
        return self.content_version or self.version

    @property
    def is_own(self) -> bool:
        """Whether it is the project's, and nothing but its files tells what it needs."""
        return self.folder is not None or not self.soname

    @property
    def title(self) -> str:
        """For messages; what release a folder holds may not be known yet."""
        return f"ONNX Runtime {self.library_version}".strip()


@dataclass(frozen=True, kw_only=True)
class ElfFacts:
    """What every program and library of the platform must say in its ELF header."""

    machine: str
    bits: int
    interpreter: str


@dataclass(frozen=True, kw_only=True)
class ZigFacts:
    """Zig's names for the platform; the installer is static, so it has its own triple."""

    triple: str
    glibc_floor: str
    installer_triple: str

    @property
    def target(self) -> str:
        """The value of `-target` for programs that run on glibc from the floor upwards."""
        return f"{self.triple}.{self.glibc_floor}"


@dataclass(frozen=True, kw_only=True)
class ConanFacts:
    """The platform in Conan's settings."""

    os: str
    arch: str


@dataclass(frozen=True, kw_only=True)
class DriverFacts:
    """What an execution provider needs that only the device can have.

    `products` are names with the versions that fit; `libraries` all of theirs that it is linked
    with or opens by itself.
    """

    products: Mapping[str, str]
    libraries: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One platform: its runtime, toolchains and what its models may contain.

    `floors` holds the newest symbol version of each kind (GLIBC, GLIBCXX, CXXABI, GCC) that a
    program may need, `cpu_features` what it may use unasked, by its names in /proc/cpuinfo.
    `cpu` is what its targets have unless they say another.
    `gcc_prefix` stands before the names of the platform's cross compilers.
    `providers` are the runtime's execution providers in the order of preference; `provider_of` is
    the one for a variant, by precision; `drivers` tells of those that need more than the bundle.
    `system_libraries` are needed beside those that every glibc system has.
    """

    name: str
    providers: tuple[str, ...]
    precision: str
    provider_of: Mapping[str, str]
    int8_encoding: str
    max_opset: int
    max_ir_version: int
    default_toolchain: str
    floors: Mapping[str, str]
    cpu_features: tuple[str, ...]
    runtime: RuntimeFacts
    elf: ElfFacts
    zig: ZigFacts
    conan: ConanFacts
    gcc_prefix: str
    system_libraries: tuple[str, ...] = ()
    drivers: Mapping[str, DriverFacts] = field(default_factory=dict)
    cpu: str | None = None

    def record(self) -> dict[str, Any]:
        """All facts in JSON types; where a folder lies is none."""
        return cast("dict[str, Any]", _plain(self))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value is not None if isinstance(value, Path) else value


def runs_here(elf: ElfFacts) -> bool:
    """Whether this machine is Linux of the same architecture."""
    return host.system() == "Linux" and host.machine() == _HOST_MACHINES.get(elf.machine)


@functools.cache
def load_platforms() -> Mapping[str, Platform]:
    """All platforms by name."""
    text = resources.files("edgesmith").joinpath("platforms.toml").read_text(encoding="utf-8")
    return parse_platforms(text)


def parse_platforms(text: str) -> Mapping[str, Platform]:
    """The platforms of a table such as platforms.toml, by name."""
    return MappingProxyType({k: _platform(k, v) for k, v in tomllib.loads(text).items()})


def _platform(name: str, table: dict[str, Any]) -> Platform:
    runtime = {**table["runtime"], "files": MappingProxyType(table["runtime"]["files"])}
    return Platform(
        name=name,
        providers=tuple(table["providers"]),
        precision=table["precision"],
        provider_of=MappingProxyType(table["provider_of"]),
        int8_encoding=table["int8_encoding"],
        max_opset=table["max_opset"],
        max_ir_version=table["max_ir_version"],
        default_toolchain=table["default_toolchain"],
        floors=MappingProxyType(table["floors"]),
        cpu_features=tuple(table["cpu_features"]),
        runtime=RuntimeFacts(**runtime),
        elf=ElfFacts(**table["elf"]),
        zig=ZigFacts(**table["zig"], glibc_floor=table["floors"]["GLIBC"]),
        conan=ConanFacts(**table["conan"]),
        gcc_prefix=table["gcc_prefix"],
        system_libraries=tuple(table.get("system_libraries", ())),
        drivers=MappingProxyType({k: _driver(v) for k, v in table.get("drivers", {}).items()}),
    )


def _driver(table: dict[str, Any]) -> DriverFacts:
    return DriverFacts(
        products=MappingProxyType(table["products"]), libraries=tuple(table["libraries"])
    )
