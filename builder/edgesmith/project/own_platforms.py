"""A project's own platforms: what `[platforms.NAME]` makes of the platform it is based on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from edgesmith.platforms import Platform, RuntimeFacts, load_platforms
from edgesmith.project.platform_settings import PlatformSettings, WheelSettings
from edgesmith.project.settings import ProjectSettings
from edgesmith.providers import with_cpu


def platform_of(name: str, settings: ProjectSettings, folder: Path) -> Platform:
    """The platform that a target names: the project's own, or one that edgesmith has."""
    own = settings.platforms.get(name)
    return load_platforms()[name] if own is None else own_platform(name, own, folder)


def own_platform(name: str, settings: PlatformSettings, folder: Path) -> Platform:
    """The base with what the project says otherwise; paths are relative to `folder`."""
    base = load_platforms()[settings.base]
    floors, drivers = dict(base.floors), base.drivers
    runtime = _runtime(settings, base.runtime, folder)
    if runtime is not base.runtime:
        # Those of the C++ libraries and of drivers are what the base's own runtime needs: this
        # one's are its own.
        floors, drivers = {"GLIBC": floors["GLIBC"]}, MappingProxyType({})
    if settings.glibc is not None:
        floors["GLIBC"] = settings.glibc
    return replace(
        base,
        name=name,
        runtime=runtime,
        floors=MappingProxyType(floors),
        zig=replace(base.zig, glibc_floor=floors["GLIBC"]),
        cpu=settings.cpu,
        providers=_providers(settings, base),
        drivers=drivers,
        provider_of=_provider_of(settings, base),
        int8_encoding=settings.int8_encoding or base.int8_encoding,
        max_opset=settings.max_opset or base.max_opset,
        default_toolchain=settings.toolchain or base.default_toolchain,
    )


def _providers(settings: PlatformSettings, base: Platform) -> tuple[str, ...]:
    return with_cpu(settings.providers) if settings.providers else base.providers


def _provider_of(settings: PlatformSettings, base: Platform) -> Mapping[str, str]:
    """The base's, where the platform has it; else its own first."""
    there = _providers(settings, base)
    found = {
        precision: provider if provider in there else there[0]
        for precision, provider in base.provider_of.items()
    }
    if settings.providers:
        # The order that the project gives; for integers TensorRT, where it is there.
        first = {one: there[0] if found[one] == "cpu" else found[one] for one in found}
        found = {**first, "int8": "tensorrt" if "tensorrt" in there else first["int8"]}
    return MappingProxyType(found)


def _runtime(settings: PlatformSettings, base: RuntimeFacts, folder: Path) -> RuntimeFacts:
    if settings.onnxruntime is not None:
        place = folder / Path(settings.onnxruntime).expanduser()
        return replace(
            base,
            package="onnxruntime",
            version="",
            content_version="",
            wheel_tag="",
            wheel_platform="",
            wheel_sha256="",
            library="",
            soname="",
            files=MappingProxyType({}),
            folder=place,
        )
    return base if settings.wheel is None else _wheel(settings.wheel, base)


def _wheel(wheel: WheelSettings, base: RuntimeFacts) -> RuntimeFacts:
    return replace(
        base,
        package=wheel.package,
        version=wheel.version,
        content_version=wheel.library_version or "",
        wheel_tag=wheel.tag,
        wheel_platform=wheel.platform,
        wheel_sha256=wheel.sha256,
        library=str(PurePosixPath(wheel.library)),
        soname="",
        files=MappingProxyType({}),
    )
