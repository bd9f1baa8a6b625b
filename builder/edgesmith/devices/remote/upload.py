"""Files on their way to a device: their names until they are whole, and their bytes."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgesmith.devices.transport import FileToSend
from edgesmith.errors import IntegrityError

_CHUNK_BYTES = 1 << 17
_GZIP_WBITS = 31
_REBUILD = "build the bundle anew: edgesmith build"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file to send; `name` is what it is called on the device until it is whole."""

    file: FileToSend
    name: str
    bytes: int

    def words(self) -> tuple[str, ...]:
        """As the device's script takes it."""
        file = self.file
        return (self.name, file.name, str(self.bytes), file.sha256, f"{file.mode:o}")


def part_of(file: FileToSend) -> Part:
    """Named after its content, so that only the same content is ever continued."""
    if file.sha256 in file.name:
        name = f"{file.name}.part"
    else:
        name = f"{file.name}.{file.sha256[:16]}.part"
    try:
        size = file.local.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error
    return Part(file=file, name=name, bytes=size)


def append_stream(part: Part, offset: int) -> Iterator[bytes]:
    """The file's bytes from `offset` on; raises IntegrityError when it is not what it was."""
    yield from _content(part, offset)


def tar_stream(parts: Sequence[Part], on_part: Callable[[Part], None]) -> Iterator[bytes]:
    """All files as one archive, each under its part's name; tells before each."""
    for part in parts:
        on_part(part)
        header = tarfile.TarInfo(part.name)
        header.size, header.mode = part.bytes, 0o600
        yield header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        yield from _content(part, 0)
        yield bytes(-part.bytes % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def packed(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The stream as gzip takes it: the fastest level, which halves what programs are."""
    packer = zlib.compressobj(level=1, wbits=_GZIP_WBITS)
    for chunk in stream:
        if ready := packer.compress(chunk):
            yield ready
    yield packer.flush()


def _content(part: Part, offset: int) -> Iterator[bytes]:
    """The last bytes come only when the whole has the right hash."""
    digest, position, held = hashlib.sha256(), 0, b""
    try:
        with part.file.local.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                if held:
                    yield held
                held = chunk[max(0, offset - position) :]
                position += len(chunk)
    except OSError as error:
        raise _unreadable(part.file, error) from error
    if position != part.bytes or digest.hexdigest() != part.file.sha256:
        raise IntegrityError(
            f"the file changed while it was sent: sha256 {digest.hexdigest()}, expected"
            f" {part.file.sha256}",
            where=str(part.file.local),
            hint=_REBUILD,
        )
    if held:
        yield held


def _unreadable(file: FileToSend, error: OSError) -> IntegrityError:
    return IntegrityError(
        f"cannot read a file of the bundle: {error.strerror}", where=str(file.local), hint=_REBUILD
    )
