"""A target: its toolchain, its downloads, and the clients that fetch them."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgesmith.cache import cache_root
from edgesmith.compile import clients, compilers, tools
from edgesmith.compile.archives import Archive
from edgesmith.compile.downloads import missing_archives
from edgesmith.compile.own_runtime import resolved
from edgesmith.doctor.check import Check, failed, pip_install
from edgesmith.errors import EdgesmithError
from edgesmith.events import EventStream
from edgesmith.project.project import Target

_PROGRAMS = ("conan", "cmake", "ninja")


def check_target(target: Target, *, offline: bool) -> Iterator[Check]:
    """What building for `target` takes on this machine."""
    part = f"target {target.name}"
    yield Check(
        part=part, name="platform", passed=True, found=target.platform.name, remedy="nothing to do"
    )
    yield from _own_runtime(part, target)
    yield from _toolchain(part, target)
    yield from (_program(part, name) for name in _PROGRAMS)
    try:
        missing = missing_archives(target.platform, cache=cache_root())
    except EdgesmithError as error:
        yield failed(part, "downloads", error)
        return
    yield _downloads(part, target, missing, offline=offline)
    yield from _clients(part, missing)


def _own_runtime(part: str, target: Target) -> Iterator[Check]:
    """The folder of an ONNX Runtime that the project brings along."""
    folder = target.platform.runtime.folder
    if folder is None:
        return
    name = "ONNX Runtime of the project's own"
    try:
        found = resolved(target.platform).runtime
    except EdgesmithError as error:
        yield failed(part, name, error)
        return
    yield Check(
        part=part,
        name=name,
        passed=True,
        found=f"{found.library_version} in {folder}, unverified",
        remedy="nothing to do",
    )


def _toolchain(part: str, target: Target) -> Iterator[Check]:
    """Zig is always needed: it makes the static installer."""
    yield _zig(part)
    toolchain = target.toolchain
    if toolchain.kind == "zig":
        return
    try:
        found = compilers.system_compiler(
            toolchain, target.platform, cache=cache_root(), events=EventStream()
        )
    except EdgesmithError as error:
        yield failed(part, f"toolchain {toolchain.name}", error)
        return
    yield Check(
        part=part,
        name=f"toolchain {toolchain.name}",
        passed=True,
        found=found.title,
        remedy="nothing to do",
    )


def _zig(part: str) -> Check:
    folder = _package_folder("ziglang")
    there = folder is not None and (folder / "zig").is_file()
    return Check(
        part=part,
        name="toolchain zig",
        passed=there,
        found=str(folder) if there else "the package ziglang is missing or incomplete",
        remedy=pip_install("--force-reinstall 'ziglang>=0.17,<0.18'"),
    )


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _program(part: str, name: str) -> Check:
    found = shutil.which(name, path=tools.search_path())
    return Check(
        part=part,
        name=name,
        passed=found is not None,
        found=found or "not found beside this Python, nor on the PATH",
        remedy=pip_install(f"--force-reinstall {name}"),
    )


def _downloads(part: str, target: Target, missing: Sequence[Archive], *, offline: bool) -> Check:
    """Builds fetch what is not there; only without a network it has to be there before."""
    titles = ", ".join(archive.title for archive in missing)
    return Check(
        part=part,
        name="downloads",
        passed=not missing,
        found=f"not downloaded yet: {titles}" if missing else "all there",
        remedy=f"run: edgesmith fetch --target {shlex.quote(target.name)}, where there is a network"
        " (builds do it too)",
        needed=offline,
    )


def _clients(part: str, missing: Sequence[Archive]) -> Iterator[Check]:
    channels = {archive.channel for archive in missing}
    if channels - {"npm"}:
        there = importlib.util.find_spec("pip") is not None
        yield Check(
            part=part,
            name="pip, to download with",
            passed=there,
            found=sys.executable if there else f"none for {sys.executable}",
            remedy=f"run: {shlex.quote(sys.executable)} -m ensurepip",
        )
    if "npm" in channels:
        yield _npm(part)


def _npm(part: str) -> Check:
    name = "npm, to download ONNX Runtime's headers with"
    try:
        found = " ".join(map(str, clients.npm_program()))
    except EdgesmithError as error:
        return failed(part, name, error)
    return Check(part=part, name=name, passed=True, found=found, remedy="nothing to do")
