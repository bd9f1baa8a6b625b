"""Compiles a generated project: the same steps as its README.md, in edgesmith's own Conan home.

`work` is kept between runs and belongs to the build, not to its result: `work/conan` holds what
Conan writes for CMake, `work/build` CMake's tree, `work/stage` the installed files. The runtime
is a Conan package, so a change of the model compiles only the project's own three small files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgesmith.compile.cmake import CMakeBuild
from edgesmith.compile.conan import install_dependencies
from edgesmith.events import EventStream, Progress
from edgesmith.files import host_file_errors

_NINJA_PROGRESS = re.compile(r"^\[(\d+)/(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class CompileSettings:
    """`cache` is edgesmith's cache folder, which holds the Conan home and Zig's cache.

    `environment` holds the variables that the compiler is given besides our own.
    """

    cache: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StagedTree:
    """What runs on a device, as installed: bin, lib, model, golden, bench and licenses.

    `toolchain` names compiler, target and oldest C library; `recipes` are Conan references.
    """

    root: Path
    toolchain: str
    recipes: tuple[str, ...]


def compile_project(
    project_folder: Path, work: Path, settings: CompileSettings, *, events: EventStream
) -> StagedTree:
    """Conan install, CMake configure, build and install.

    Raises ToolchainError with the tools' output, HostFileError.
    """
    project_folder, work = project_folder.absolute(), work.absolute()
    with host_file_errors(work):
        (work / "conan").mkdir(parents=True, exist_ok=True)
    on_line = _progress(events)
    events.info("conan install: dependencies, compiled once for each toolchain")
    installed = install_dependencies(
        project_folder,
        work / "conan",
        cache=settings.cache,
        environment=settings.environment,
        events=events,
        on_line=on_line,
    )
    build = CMakeBuild(
        project=project_folder,
        folder=work / "build",
        toolchain_file=installed.toolchain_file,
        abi=installed.abi,
        cache=settings.cache,
        environment=settings.environment,
    )
    events.info(f"cmake: compiling for {installed.abi}")
    build.build_and_install(work / "stage", events=events, on_line=on_line)
    return StagedTree(root=work / "stage", toolchain=installed.abi, recipes=installed.references)


def _progress(events: EventStream) -> Callable[[str], None]:
    def on_line(line: str) -> None:
        found = _NINJA_PROGRESS.match(line)
        if found:
            done, total = int(found[1]), int(found[2])
            events.emit(Progress(stage="compile", done=done, total=total, unit="steps"))

    return on_line
