"""How large the parts of a bundle are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgesmith.bundle.content import RELEASE_ROLES
from edgesmith.bundle.manifest import ManifestFile
from edgesmith.values import BundleSize, FileSize, PartSize

_TITLES = {
    "app": "programs",
    "runtime": "runtime library",
    "golden": "golden samples",
    "licence": "licences",
    "bench": "evaluation samples",
}
_LARGEST = 3


def bundle_size(
    files: Sequence[ManifestFile],
    *,
    variants: Mapping[str, Sequence[str]],
    manifest_bytes: int,
    archive_bytes: int,
) -> BundleSize:
    """Sizes by part, the device's first; `variants` names each variant's files.

    The release is what stays on a device: its files and the manifest.
    """
    names = {path: f"model {name}" for name, paths in variants.items() for path in paths}
    parts: dict[tuple[str, bool], int] = {}
    for file in files:
        part = names.get(file.path) or _TITLES.get(file.role, file.role)
        on_device = file.role in RELEASE_ROLES
        parts[part, on_device] = parts.get((part, on_device), 0) + file.bytes
    parts["manifest", True] = manifest_bytes
    ordered = sorted(parts.items(), key=lambda item: (not item[0][1], -item[1], item[0][0]))
    largest = sorted(files, key=lambda file: (-file.bytes, file.path))[:_LARGEST]
    return BundleSize(
        parts=tuple(
            PartSize(part=part, on_device=on_device, bytes=count)
            for (part, on_device), count in ordered
        ),
        release_bytes=sum(count for (_, on_device), count in parts.items() if on_device),
        archive_bytes=archive_bytes,
        largest=tuple(FileSize(path=file.path, bytes=file.bytes) for file in largest),
    )
