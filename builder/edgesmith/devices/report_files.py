"""The files of a measurement: the report, and what lies beside it."""

from __future__ import annotations

import contextlib
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from edgesmith.files import host_file_errors
from edgesmith.hashing import sha256_file

SAMPLES_SUFFIX = ".samples.safetensors"


def new_report(folder: Path, device: str, bundle_id: str) -> Path:
    """`<UTC>-<device>-<bundle id, 8 digits>.json`, never one that is there already."""
    while True:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        file = folder / f"{moment}-{device}-{bundle_id[:8]}.json"
        if not file.exists():
            return file
        time.sleep(0.2)


def keep_beside(fetched: Path, final: Path, undo: ExitStack) -> dict[str, str]:
    """Puts a file from the device beside the report, and has `undo` remove it again.

    What the report says of it: its name and SHA-256.
    """
    with host_file_errors(final):
        undo.callback(_remove, final)
        fetched.chmod(0o644)
        fetched.replace(final)
        return {"file": final.name, "sha256": sha256_file(final)}


def _remove(file: Path) -> None:
    # What made the report fail is told, not that the disk refuses this too.
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
