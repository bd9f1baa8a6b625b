"""The bundle as one file whose bytes depend on nothing but the bundle."""

from __future__ import annotations

import tarfile
from pathlib import Path

from edgesmith.bundle.content import MANIFEST
from edgesmith.bundle.manifest import Manifest

_FILE_MODE = 0o644
# The header of USTAR has room for 11 octal digits; GNU's form of the same header for more.
_USTAR_LIMIT_BYTES = 8**11


def write_archive(bundle: Path, manifest: Manifest, target: Path) -> int:
    """Writes the manifest and all files that it lists to `target`; returns its size in bytes.

    USTAR, or GNU's form where a file has 8 GiB or more; sorted by path, owner and group 0, times
    0. Raises OSError.
    """
    modes = {file.path: int(file.mode, 8) for file in manifest.files}
    huge = any(file.bytes >= _USTAR_LIMIT_BYTES for file in manifest.files)
    form = tarfile.GNU_FORMAT if huge else tarfile.USTAR_FORMAT
    with tarfile.open(target, "w", format=form) as tar:
        for path in sorted({MANIFEST, *modes}):
            info = tarfile.TarInfo(path)
            info.size = (bundle / path).stat().st_size
            info.mode = modes.get(path, _FILE_MODE)
            with (bundle / path).open("rb") as stream:
                tar.addfile(info, stream)
    return target.stat().st_size
