"""The one place that hashes: files, JSON values and our own sources."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes.

    Raises ValueError for NaN and infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256_json(value: object) -> str:
    """Hex SHA-256 of the canonical JSON of `value`."""
    return sha256_bytes(canonical_json(value))


def sha256_tree(root: Path, files: Iterable[Path]) -> str:
    """Hex SHA-256 over the relative paths and contents of `files` below `root`."""
    listing = [[file.relative_to(root).as_posix(), sha256_file(file)] for file in files]
    return sha256_json(sorted(listing))


@functools.cache
def own_sources_digest() -> str:
    """SHA-256 over this package's Python and TOML files.

    Part of every cache key, so that a new version of edgesmith never serves an old result.
    """
    root = Path(__file__).parent
    files = [p for p in root.rglob("*") if p.suffix in {".py", ".toml", ".json"} and p.is_file()]
    return sha256_tree(root, [p for p in files if "_data" not in p.relative_to(root).parts])
