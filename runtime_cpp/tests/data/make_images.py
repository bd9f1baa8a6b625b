"""Makes images/*.png, which the C++ tests read. All but `large` show the same 4 x 3 pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent / "images"
WIDTH, HEIGHT = 4, 3
GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6


def colour(x: int, y: int) -> tuple[int, int, int]:
    """The test in C++ knows this formula."""
    return (10 * x + y, 20 * x, 50 * y)


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def png(
    kind: int, rows: list[bytes], *, depth: int = 8, before: bytes = b"", width: int = WIDTH
) -> bytes:
    """A whole file; `before` are chunks ahead of the pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def rows(alpha: bytes) -> list[bytes]:
    """Pixels with these bytes behind each colour."""
    return [b"".join(bytes(colour(x, y)) + alpha for x in range(WIDTH)) for y in range(HEIGHT)]


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    colours = b"".join(bytes(colour(x, y)) for y in range(HEIGHT) for x in range(WIDTH))
    numbers = [bytes(range(y * WIDTH, (y + 1) * WIDTH)) for y in range(HEIGHT)]
    shades = [bytes(10 * x + y for x in range(WIDTH)) for y in range(HEIGHT)]
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(1 << 16)))
    files = {
        "rgb": png(RGB, rows(b"")),
        "rgb_profile": png(RGB, rows(b""), before=profile),
        "rgba_opaque": png(RGBA, rows(b"\xff")),
        "rgba": png(RGBA, rows(b"\x80")),
        "palette": png(PALETTE, numbers, before=chunk(b"PLTE", colours)),
        "grey": png(GREY, shades),
        "grey16": png(GREY, [row * 2 for row in shades], depth=16),
        "large": png(GREY, [bytes(8)] * 8, width=8),
    }
    for name, data in files.items():
        (FOLDER / f"{name}.png").write_bytes(data)


if __name__ == "__main__":
    main()
