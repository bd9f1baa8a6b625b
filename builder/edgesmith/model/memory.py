"""How much memory a process may take before this machine starts to swap."""

from __future__ import annotations

import contextlib
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
# Version 2 of control groups, and version 1.
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# Less than this can't even import PyTorch: the machine is then left to say what it can't do.
_LEAST_BYTES = 1 << 30


def available_bytes() -> int | None:
    """Memory that is free or can be freed, within the container's limit; None if unknown."""
    found = []
    with contextlib.suppress(OSError, ValueError, LookupError):
        fields = dict(line.split(":") for line in _MEMINFO.read_text().splitlines())
        found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return max(min(found), _LEAST_BYTES) if found else None
