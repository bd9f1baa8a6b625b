"""`python -m edgesmith.compile.cpp_deps`: the C++ dependencies as a CMake prefix.

For building the C++ sources by themselves with plain CMake. Uses the standard library only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edgesmith.cache import cache_root
from edgesmith.compile.downloads import fetch
from edgesmith.compile.vendored import vendored_files, write_files
from edgesmith.errors import EdgesmithError
from edgesmith.events import Event, EventStream, Message
from edgesmith.files import host_file_errors
from edgesmith.platforms import Platform, load_platforms


def write_prefix(
    prefix: Path, platform: Platform, *, cache: Path, offline: bool, events: EventStream
) -> None:
    """Lays out CMake packages of all third-party code below `prefix`.

    Raises ToolchainError and HostFileError as `fetch` does.
    """
    files = vendored_files(platform, fetch(platform, cache=cache, offline=offline, events=events))
    with host_file_errors(prefix):
        for package in (files.onnxruntime, files.json, files.sodium, files.wuffs):
            write_files(prefix, package)


def _talk(event: Event) -> None:
    if isinstance(event, Message) and event.level != "debug":
        print(event.text, file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code; errors go to stderr."""
    parser = argparse.ArgumentParser(prog="python -m edgesmith.compile.cpp_deps")
    parser.add_argument("--output", type=Path, required=True, help="the prefix to write")
    parser.add_argument("--platform", choices=sorted(load_platforms()), default="linux-x86_64")
    parser.add_argument("--offline", action="store_true", help="use the cache only")
    options = parser.parse_args(arguments)
    events = EventStream()
    events.subscribe(_talk)
    try:
        write_prefix(
            options.output,
            load_platforms()[options.platform],
            cache=cache_root(),
            offline=options.offline,
            events=events,
        )
    except EdgesmithError as error:
        print(error.render(), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
