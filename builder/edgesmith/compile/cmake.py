"""Configures, builds and installs a generated project with CMake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgesmith.compile.tools import build_environment, program
from edgesmith.events import EventStream
from edgesmith.files import host_file_errors
from edgesmith.hashing import sha256_bytes
from edgesmith.process import Command, run

PRESET = "release"
COMPONENT = "release"
_STAMP = "edgesmith-build.json"
_TIMEOUT_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class CMakeBuild:
    """A build tree outside of the project's folder, and what it was set up for.

    `abi` names compiler and C library, as Conan's packages were built for them.
    """

    project: Path
    folder: Path
    toolchain_file: Path
    abi: str
    cache: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def build_and_install(
        self, prefix: Path, *, events: EventStream, on_line: Callable[[str], None] | None = None
    ) -> None:
        """Leaves the component that runs on devices below `prefix`, which is emptied first.

        Raises ToolchainError with the compiler's output, HostFileError.
        """
        self._drop_stale_tree(events)
        configure: list[str | Path] = [
            "--preset", PRESET, "-S", self.project, "-B", self.folder,
            "--toolchain", self.toolchain_file]  # fmt: skip
        self._cmake(configure, "configuring the project", events, on_line)
        self._stamp()
        self._cmake(["--build", self.folder], "compiling the project", events, on_line)
        with host_file_errors(prefix):
            shutil.rmtree(prefix, ignore_errors=True)
        install: list[str | Path] = ["--install", self.folder, "--prefix", prefix,
                                     "--component", COMPONENT]  # fmt: skip
        self._cmake(install, "installing the project", events, on_line)

    def _facts(self) -> dict[str, str]:
        """What a build tree can't survive a change of."""
        return {
            "project folder": str(self.project),
            "toolchain": self.abi,
            "CMake": program("cmake"),
            "Ninja": program("ninja"),
            "cache folder": str(self.cache),
            # It says where the packages lie, which CMake keeps from its first configuration.
            "packages": sha256_bytes(self.toolchain_file.read_bytes()),
            "presets": sha256_bytes((self.project / "CMakePresets.json").read_bytes()),
        }

    def _drop_stale_tree(self, events: EventStream) -> None:
        if not self.folder.exists():
            return
        facts, stamp = self._facts(), _read_stamp(self.folder / _STAMP)
        changed = [name for name, value in facts.items() if stamp.get(name) != value]
        if changed:
            reason = ", ".join(changed) if stamp else "its last configuration did not finish"
            events.info(f"the build folder is made anew: {reason}")
            with host_file_errors(self.folder):
                shutil.rmtree(self.folder)

    def _stamp(self) -> None:
        (self.folder / _STAMP).write_text(json.dumps(self._facts()))

    def _cmake(
        self,
        arguments: list[str | Path],
        purpose: str,
        events: EventStream,
        on_line: Callable[[str], None] | None,
    ) -> None:
        command = Command(
            argv=[program("cmake"), *arguments],
            purpose=purpose,
            hint="see the output above; the project's README.md tells how to build it by hand",
            timeout_s=_TIMEOUT_S,
            cwd=self.project,
            env={**build_environment(self.cache), **self.environment},
        )
        run(command, events=events, on_line=on_line)


def _read_stamp(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
