"""A checked project: its settings, its folders, and what holds for one target or device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith.errors import UsageError
from edgesmith.files import home_folder
from edgesmith.platforms import Platform
from edgesmith.project.bench_settings import BenchSettings
from edgesmith.project.cpu_names import require_known_cpu
from edgesmith.project.own_platforms import platform_of
from edgesmith.project.settings import (
    DeviceSettings,
    GateSettings,
    ProjectSettings,
    QuantizeSettings,
)
from edgesmith.project.target_providers import providers_of
from edgesmith.project.wording import suggestion
from edgesmith.providers import Provider
from edgesmith.toolchains import Toolchain, toolchain_of

ALL = "all"
# Transports whose devices are folders here; others have homes of their own.
ON_THIS_MACHINE = ("local", "qemu-user")
# Below the login's home.
REMOTE_ROOT = "edgesmith"
# Emulated times mean nothing: one timed inference, and the accuracy.
EMULATED_BENCH: dict[str, object] = {"min_seconds": 0.001, "min_iterations": 1, "processes": 1}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target with its overrides applied.

    `provider` is that of all variants, empty where the platform has one for each; `providers` are
    all that its bundle can use, by name.
    """

    name: str
    platform: Platform
    cpu: str | None
    toolchain: Toolchain
    quantize: QuantizeSettings
    bench: BenchSettings
    provider: str
    providers: Mapping[str, Provider]

    def provider_of(self, precision: str) -> Provider:
        """The execution provider of variants of this precision."""
        return self.providers[self.provider or self.platform.provider_of[precision]]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a device that is not this machine is reached; what its transport does not take is empty.

    `push`, `exec` and `fetch` are command lines with placeholders.
    """

    address: str = ""
    port: int | None = None
    host_key: str = ""
    push: tuple[str, ...] = ()
    exec: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device with its target's and its own overrides applied.

    `machine` is that of its programs' ELF headers; `cpu` the core that is there or emulated.
    `root` is absolute for a device that is this machine; another resolves it itself.
    """

    name: str
    target: str
    transport: str
    root: str
    machine: str
    cpu: str | None
    bench: BenchSettings
    gates: GateSettings
    reach: Reach = Reach()


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project file that was read and found right; `layers` names where settings came from."""

    file: Path
    settings: ProjectSettings
    layers: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.file.parent

    @property
    def build_folder(self) -> Path:
        return self.folder / "build" / self.settings.model.name

    @property
    def state_folder(self) -> Path:
        return self.build_folder / ".state"

    @property
    def reports_folder(self) -> Path:
        return self.folder / "reports"

    def stage_folder(self, stage: str, target: str | None = None) -> Path:
        base = self.build_folder / target if target else self.build_folder
        return base / stage

    def target(self, name: str) -> Target:
        """The target with its overrides; raises UsageError for an unknown name."""
        settings = _named(self.settings.targets, name, "target", self.file)
        platform = platform_of(settings.platform, self.settings, self.folder)
        machine = platform.elf.machine
        require_known_cpu(settings.cpu, machine, where=f"{self.file}, targets.{name}.cpu")
        of_platform = f"{self.file}, platforms.{settings.platform}.cpu"
        require_known_cpu(platform.cpu, machine, where=of_platform)
        return Target(
            name=name,
            platform=platform,
            cpu=settings.cpu or platform.cpu,
            toolchain=toolchain_of(settings.toolchain or platform.default_toolchain, self.folder),
            quantize=_quantize(self.settings.quantize, settings.quantize, platform),
            bench=_overridden(self.settings.bench, settings.bench),
            provider=settings.provider or "",
            providers=providers_of(name, self.settings, platform, self.folder),
        )

    def device(self, name: str) -> Device:
        """The device with its overrides; raises UsageError for an unknown name."""
        settings = _named(self.settings.devices, name, "device", self.file)
        target = self.target(settings.target)
        emulated = EMULATED_BENCH if settings.transport == "qemu-user" else {}
        return Device(
            name=name,
            target=settings.target,
            transport=settings.transport,
            root=_device_root(name, settings),
            machine=target.platform.elf.machine,
            cpu=settings.cpu or target.cpu,
            bench=_overridden(target.bench, {**emulated, **settings.bench}),
            gates=_overridden(self.settings.gates, settings.gates),
            reach=_reach(settings, self.folder),
        )

    def target_names(self, asked: Iterable[str]) -> tuple[str, ...]:
        """The targets a command means; raises UsageError for an unknown one."""
        return _chosen(
            asked, self.settings.targets, self.settings.defaults.targets, "target", self.file
        )

    def device_names(self, asked: Iterable[str]) -> tuple[str, ...]:
        """The devices a command means; raises UsageError for an unknown one or none at all."""
        names = _chosen(
            asked, self.settings.devices, self.settings.defaults.devices, "device", self.file
        )
        if not names:
            raise UsageError(
                "the project has no device",
                where=f"{self.file}, [devices]",
                hint='add one, such as [devices.desk] with target = "..." and transport = "local"',
            )
        return names


def _named(table: dict[str, Any], name: str, kind: str, file: Path) -> Any:
    if name not in table:
        raise UsageError(
            f"unknown {kind} '{name}'; {suggestion(name, table)}",
            where=f"--{kind}, {file} [{kind}s]",
            hint=f"name a {kind} of the project file, or add [{kind}s.{name}] to it",
        )
    return table[name]


def _chosen(
    asked: Iterable[str], table: dict[str, Any], defaults: tuple[str, ...], kind: str, file: Path
) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(asked))
    if ALL in names:
        return tuple(table)
    for name in names:
        _named(table, name, kind, file)
    return names or defaults or tuple(table)


def _overridden(base: Any, override: dict[str, object]) -> Any:
    """`base` with the given keys replaced; both were validated when the file was read."""
    merged = base.model_dump(exclude_unset=True) | override
    return type(base).model_validate(merged)


def _quantize(
    base: QuantizeSettings, override: dict[str, object], platform: Platform
) -> QuantizeSettings:
    found: QuantizeSettings = _overridden(base, override)
    if "precision" in found.model_fields_set:
        return found
    return found.model_copy(update={"precision": platform.precision})


def _reach(settings: DeviceSettings, folder: Path) -> Reach:
    return Reach(
        address=settings.address or "",
        port=settings.port,
        host_key=settings.host_key or "",
        push=_tool(settings.push, folder),
        exec=_tool(settings.exec, folder),
        fetch=_tool(settings.fetch, folder),
    )


def _tool(words: tuple[str, ...] | None, folder: Path) -> tuple[str, ...]:
    """A program that is named as a path is one of the project's, wherever the user stands."""
    program, *rest = words or ("",)
    return (str(folder / program) if "/" in program else program, *rest) if program else ()


def _device_root(name: str, settings: DeviceSettings) -> str:
    if settings.transport not in ON_THIS_MACHINE:
        return settings.root or REMOTE_ROOT
    if settings.root is None:
        import os

        base = os.environ.get("XDG_DATA_HOME")
        # The XDG specification has relative paths ignored.
        absolute = base and Path(base).is_absolute()
        data = Path(str(base)) if absolute else home_folder() / ".local" / "share"
        return str(data / "edgesmith" / "devices" / name)
    return str(home_folder() / settings.root)
