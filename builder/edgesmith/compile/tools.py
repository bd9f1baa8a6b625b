"""The programs that compile, and the environment they run in."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from edgesmith.errors import ToolchainError

# What compilers and Conan need from outside; everything else would make results depend on it.
_KEPT = ("HOME", "TMPDIR", "LANG", "USER")


def program(name: str) -> str:
    """Absolute path of conan, cmake or ninja: our own interpreter's first, then PATH's.

    Raises ToolchainError when there is none.
    """
    found = shutil.which(name, path=search_path())
    if found is None:
        raise ToolchainError(
            f"the program '{name}' was not found",
            where="PATH",
            hint=f"run: {sys.executable} -m pip install {name}",
        )
    return found


def search_path(environment: Mapping[str, str] = os.environ) -> str:
    """PATH with the programs of our own interpreter's environment in front."""
    own = sysconfig.get_path("scripts")
    return os.pathsep.join([own, environment.get("PATH", os.defpath)])


def build_environment(cache: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment of Conan, CMake and compilers; `cache` is edgesmith's own."""
    return {
        **{name: environment[name] for name in _KEPT if name in environment},
        "PATH": search_path(environment),
        "CONAN_HOME": str(cache / "conan"),
        "EDGESMITH_PYTHON": sys.executable,
        "PYTHONDONTWRITEBYTECODE": "1",
        "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
    }
