"""This machine: system, Python, packages, disks. Imports nothing that may be missing."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from edgesmith.cache import cache_root
from edgesmith.doctor.check import Check, failed, pip_install
from edgesmith.errors import EdgesmithError, HostFileError

HOST = "this machine"
HOST_MACHINES = ("x86_64", "aarch64")
MIN_FREE_BYTES = 2_000_000_000
MIN_PYTHON = (3, 11)
# The dependencies of the package `edgesmith`; a test compares them with pyproject.toml.
PACKAGES = (
    "cmake",
    "conan",
    "jinja2",
    "jsonschema",
    "ninja",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxsim",
    "pip",
    "pydantic",
    "pyelftools",
    "rich",
    "safetensors",
    "ziglang",
)


def check_host() -> Iterator[Check]:
    """Everything that does not depend on a project."""
    yield _system()
    yield Check(
        part=HOST,
        name="python",
        passed=sys.version_info >= MIN_PYTHON,
        found=f"{platform.python_version()}, {sys.executable}",
        remedy="install edgesmith with Python 3.11 or later",
    )
    yield from (_package(name) for name in PACKAGES)
    yield _cache_folder()
    yield _temporary_folder()


def _system() -> Check:
    library, version = platform.libc_ver()
    machine = platform.machine()
    right = platform.system() == "Linux" and machine in HOST_MACHINES and library == "glibc"
    return Check(
        part=HOST,
        name="system",
        passed=right,
        found=f"{platform.system()} {machine}, {f'{library} {version}'.strip() or 'not glibc'}",
        remedy="build on a Linux with glibc (Debian, Ubuntu, Fedora ...), x86-64 or aarch64",
    )


def _package(name: str) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    remedy = pip_install("edgesmith")
    if name == "pip":
        remedy = f"run: {shlex.quote(sys.executable)} -m ensurepip"
    return Check(
        part=HOST,
        name=f"package {name}",
        passed=bool(version),
        found=version or "not installed",
        remedy=remedy,
    )


def _cache_folder() -> Check:
    try:
        return disk(HOST, "cache folder", cache_root(), "set EDGESMITH_CACHE to another folder")
    except EdgesmithError as error:
        return failed(HOST, "cache folder", error)


def _temporary_folder() -> Check:
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        folder = ""
    return Check(
        part=HOST,
        name="temporary folder",
        passed=bool(folder),
        found=folder or "no temporary folder can be written",
        remedy="set TMPDIR to a folder that you may write",
        exit_code=HostFileError.exit_code,
    )


def disk(
    part: str, name: str, folder: Path, otherwise: str, *, min_bytes: int = MIN_FREE_BYTES
) -> Check:
    """Whether `folder`, which may not be there yet, can be written and has room."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free_bytes = shutil.disk_usage(existing).free
    writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    found = f"{free_bytes / 1e9:.1f} GB free at {folder}"
    return Check(
        part=part,
        name=name,
        passed=writable and free_bytes >= min_bytes,
        found=found if writable else f"{existing} can't be written",
        remedy=f"free {min_bytes / 1e9:.1f} GB there, or {otherwise}"
        if writable
        else f"make {existing} writable for your user, or {otherwise}",
        exit_code=HostFileError.exit_code,
    )
