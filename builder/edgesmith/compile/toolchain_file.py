"""What a user's CMake toolchain file chooses: a small program is configured and built with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgesmith.compile import tools
from edgesmith.compile.compilers import INSTEAD, Compiler, read_probe
from edgesmith.errors import ToolchainError, UsageError
from edgesmith.events import EventStream
from edgesmith.hashing import sha256_file, sha256_json
from edgesmith.platforms import Platform
from edgesmith.process import Command, run
from edgesmith.resources import resource_folder
from edgesmith.toolchains import Toolchain

_TIMEOUT_S = 300.0
_VARIABLE = re.compile(r"\$ENV\{(\w+)\}|DEFINED\s+ENV\{(\w+)\}")
_DIGEST_CHARACTERS = 12


def compiler_of_file(
    toolchain: Toolchain, platform: Platform, *, cache: Path, events: EventStream
) -> Compiler:
    """The compiler that the file chooses; raises UsageError and ToolchainError.

    The digest in its `abi` covers the file, all that it includes and the variables that it reads.
    """
    file = toolchain.file
    if file is None or not file.is_file():
        raise UsageError(
            f"there is no toolchain file '{toolchain.name}'",
            where=str(file),
            hint="correct the path; it is relative to the project file",
        )
    environment = _environment(file, tools.build_environment(cache))
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch).resolve() / "build"
        inputs = _build_probe(file, build, cache, environment, events)
        facts = read_probe(build, platform, where=str(file))
        digest = _digest(inputs, environment)
    return Compiler(
        toolchain=toolchain,
        title=f"{facts.compiler} {facts.version} of {file.name}",
        name=facts.compiler,
        version=facts.conan_version,
        libcxx=facts.libcxx,
        abi=f"file-{digest}-{facts.text}",
        environment=environment,
    )


def _environment(file: Path, own: Mapping[str, str]) -> dict[str, str]:
    """The variables that the file names; all others are kept from compilers."""
    text = file.read_text(encoding="utf-8", errors="replace")
    names = {first or second for first, second in _VARIABLE.findall(text)} - own.keys()
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}


def _build_probe(
    file: Path, build: Path, cache: Path, environment: Mapping[str, str], events: EventStream
) -> list[Path]:
    """Builds the probe below `build`; the files that the toolchain consists of."""
    source = build.parent / "source"
    shutil.copytree(resource_folder("templates") / "toolchain_probe", source)
    query = build / ".cmake" / "api" / "v1" / "query"
    query.mkdir(parents=True)
    (query / "cmakeFiles-v1").touch()
    cmake = tools.program("cmake")
    configure: list[str | Path] = [cmake, "-S", source, "-B", build, "-G", "Ninja",
                                   "-DCMAKE_BUILD_TYPE=Release", "--toolchain", file]  # fmt: skip
    compile_it: list[str | Path] = [cmake, "--build", build]
    for argv in (configure, compile_it):
        command = Command(
            argv=argv,
            purpose=f"building a small program with {file.name}",
            hint=f"see the output above: correct the toolchain file, {INSTEAD}",
            timeout_s=_TIMEOUT_S,
            cwd=source,
            env={**tools.build_environment(cache), **environment},
        )
        run(command, events=events)
    return list(_toolchain_inputs(build, source, file))


def _toolchain_inputs(build: Path, source: Path, file: Path) -> Iterable[Path]:
    """What CMake read that is neither its own nor the probe's, from its File API."""
    replies = sorted((build / ".cmake" / "api" / "v1" / "reply").glob("cmakeFiles-v1-*.json"))
    if not replies:
        raise ToolchainError(
            "CMake did not say which files it read",
            where=str(file),
            hint="install edgesmith with all its dependencies: CMake 4 is one of them",
        )
    for entry in json.loads(replies[-1].read_text())["inputs"]:
        path = source / entry["path"]
        if not entry.get("isCMake") and not path.is_relative_to(build.parent):
            yield path


def _digest(inputs: Iterable[Path], environment: Mapping[str, str]) -> str:
    contents = [sha256_file(path) for path in inputs]
    return sha256_json([contents, dict(environment)])[:_DIGEST_CHARACTERS]
