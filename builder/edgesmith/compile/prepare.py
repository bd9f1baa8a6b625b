"""Makes ready what every build of a target needs and no model decides: downloads, C++ libraries.

Zig compiles its C++ library at the first link for a triple and keeps it in its cache; done ahead,
it can overlap with other work, and builds without a network start at full speed.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgesmith.compile.downloads import Downloads, fetch
from edgesmith.compile.tools import build_environment
from edgesmith.events import EventStream
from edgesmith.files import require_writable
from edgesmith.platforms import Platform
from edgesmith.process import Command, run
from edgesmith.toolchains import ToolchainKind

_TIMEOUT_S = 1800.0
_PROGRAM = "#include <string>\nint main() { return static_cast<int>(std::string().size()); }\n"
# The options of the generated compiler wrappers, so that the libraries are the same ones.
_OPTIONS = ("-O2", "-s")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The verified downloads, and the triples whose C++ library is compiled."""

    downloads: Downloads
    triples: tuple[str, ...]


def prepare(
    platform: Platform, toolchain: ToolchainKind, *, cache: Path, offline: bool, events: EventStream
) -> Prepared:
    """Downloads and compiles ahead, at the same time; raises ToolchainError or HostFileError."""
    zig = platform.zig
    # Zig makes the static installer for every toolchain.
    own = (zig.target,) if toolchain == "zig" else ()
    triples = (*own, zig.installer_triple)
    environment = build_environment(cache)
    require_writable(cache)
    cancelled = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as pool:
        fetching = pool.submit(
            fetch, platform, cache=cache, offline=offline, events=events, cancelled=cancelled
        )
        try:
            for triple in triples:
                _compile_library(triple, environment, events)
            return Prepared(downloads=fetching.result(), triples=triples)
        except BaseException:
            cancelled.set()
            raise


def _compile_library(triple: str, environment: Mapping[str, str], events: EventStream) -> None:
    events.info(f"zig: C++ library for {triple}")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "program.cpp"
        source.write_text(_PROGRAM)
        zig = (sys.executable, "-m", "ziglang", "c++", "-target", triple, *_OPTIONS)
        command = Command(
            argv=(*zig, source, "-o", Path(folder) / "program"),
            purpose=f"compiling Zig's C++ library for {triple}",
            hint="install the package ziglang again: pip install --force-reinstall ziglang",
            timeout_s=_TIMEOUT_S,
            cwd=Path(folder),
            env=environment,
        )
        run(command, events=events)
