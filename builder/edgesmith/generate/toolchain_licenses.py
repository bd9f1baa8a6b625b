"""Licence texts of what compilers put into programs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from edgesmith.compile.vendored import Files
from edgesmith.errors import ToolchainError
from edgesmith.resources import resource_folder
from edgesmith.toolchains import ToolchainKind

# Zig links libc++, libc++abi, libunwind and compiler-rt (one licence) into every program, start
# code of glibc into dynamic ones and the whole of musl into static ones: always the installer.
_ZIG_TEXTS = {
    "llvm/LICENSE.TXT": "lib/libcxx/LICENSE.TXT",
    "musl/COPYRIGHT": "lib/libc/musl/COPYRIGHT",
    "zig/LICENSE": "LICENSE",
}
_ZIG_GLIBC = {"glibc/LICENSES": "lib/libc/glibc/LICENSES"}
_NOTICES = {"gcc": "gcc/NOTICE.txt", "file": "toolchain/NOTICE.txt"}


def toolchain_licenses(toolchain: ToolchainKind) -> Files:
    """Texts by path below `licenses/`; raises ToolchainError when Zig is not installed."""
    folder, root = resource_folder("templates") / "licenses", _zig_folder()
    notice = _NOTICES.get(toolchain)
    ours = ["edgesmith/LICENSE", *([notice] if notice else [])]
    zigs = _ZIG_TEXTS if notice else {**_ZIG_TEXTS, **_ZIG_GLIBC}
    return {
        **{name: (folder / name).read_bytes() for name in ours},
        **{name: (root / path).read_bytes() for name, path in zigs.items()},
    }


def _zig_folder() -> Path:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        raise ToolchainError(
            "the Python package ziglang is missing",
            where=sys.executable,
            hint="install edgesmith with all its dependencies",
        )
    return Path(spec.submodule_search_locations[0])
