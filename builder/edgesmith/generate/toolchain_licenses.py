"""Licence texts of what compilers put into programs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgesmith.compile.vendored import Files
from edgesmith.errors import ToolchainError
from edgesmith.generate.request import Toolchain
from edgesmith.resources import resource_folder

# Zig links libc++, libc++abi, libunwind and compiler-rt (one licence) into every program, start
# code of glibc into dynamic ones and the whole of musl into static ones.
_ZIG_TEXTS = {
    "llvm/LICENSE.TXT": "lib/libcxx/LICENSE.TXT",
    "glibc/LICENSES": "lib/libc/glibc/LICENSES",
    "musl/COPYRIGHT": "lib/libc/musl/COPYRIGHT",
    "zig/LICENSE": "LICENSE",
}


def toolchain_licenses(toolchain: Toolchain) -> Files:
    """Texts by path below `licenses/`; raises ToolchainError when Zig is not installed."""
    folder = resource_folder("templates") / "licenses"
    texts = {"edgesmith/LICENSE": (folder / "edgesmith" / "LICENSE").read_bytes()}
    if toolchain == "gcc":
        return {**texts, "gcc/NOTICE.txt": (folder / "gcc" / "NOTICE.txt").read_bytes()}
    root = _zig_folder()
    return {**texts, **{name: (root / path).read_bytes() for name, path in _ZIG_TEXTS.items()}}


def _zig_folder() -> Path:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        raise ToolchainError(
            "the Python package ziglang is missing",
            where="toolchain = zig",
            hint="install edgesmith with all its dependencies",
        )
    return Path(spec.submodule_search_locations[0])
