"""Who compiles a target's programs, as a project names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ToolchainKind = Literal["zig", "gcc", "file"]
FILE_SUFFIX = ".cmake"


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """`zig`, `gcc`, or a CMake toolchain file; `name` is what the project says."""

    kind: ToolchainKind
    name: str
    file: Path | None = None


def is_toolchain(text: str) -> bool:
    """Whether a project may name a toolchain so."""
    return text in ("zig", "gcc") or text.endswith(FILE_SUFFIX)


def toolchain_of(text: str, folder: Path) -> Toolchain:
    """The toolchain that `text` names; a file is relative to `folder`."""
    if text == "zig":
        return Toolchain(kind="zig", name=text)
    if text == "gcc":
        return Toolchain(kind="gcc", name=text)
    return Toolchain(kind="file", name=text, file=folder / Path(text).expanduser())
