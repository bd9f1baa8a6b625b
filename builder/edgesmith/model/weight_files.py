"""Models whose weights are more than one ONNX file can hold: they lie in a second file beside it.

The ONNX file names the SHA-256 of that file, so its own hash stands for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgesmith.errors import ModelError
from edgesmith.files import copy_file
from edgesmith.model import onnx_file
from edgesmith.model.external_data import Place, all_tensors, place_of, whole_bytes
from edgesmith.values import OnnxFile

if TYPE_CHECKING:
    import onnx

DATA_FILE = "model.onnx.data"
DATA_SHA256 = "edgesmith.data_sha256"
# Smaller tensors go into the model itself, where the inference of shapes reads them.
_INLINE_BYTES = 64 << 10
# Each tensor starts on a page, so that runtimes can map it.
_ALIGNMENT_BYTES = 4096
_CHUNK_BYTES = 8 << 20


def is_too_large(model: onnx.ModelProto, *, shown_as: str) -> bool:
    """Whether the model, loaded without its data, can't become one file."""
    return whole_bytes(model, shown_as=shown_as) > onnx_file.MAX_PROTOBUF_BYTES


def save_with_data(
    model: onnx.ModelProto, source: Path, path: Path, *, shown_as: str | None = None
) -> None:
    """Writes the model to `path` and the weights of `source` beside it, as DATA_FILE.

    `model` is `source` loaded without its data, and changed in place. Memory does not grow with
    the weights; the same model gives the same bytes, however its data was laid out. Raises
    ModelError for data that is not what `source` says.
    """
    where = shown_as or str(source)
    with ExitStack() as opened:
        writer = _DataWriter(opened.enter_context((path.parent / DATA_FILE).open("xb")))
        reader = _DataReader(folder=source.parent, shown_as=where, opened=opened)
        for tensor in all_tensors(model):
            place = place_of(tensor, shown_as=where)
            # A note of a place may be left where the model has the values itself.
            del tensor.external_data[:]
            if place is not None:
                _move(tensor, place, reader, writer)
        digest = writer.sha256()
    model.metadata_props.add(key=DATA_SHA256, value=digest)
    onnx_file.save(model, path)


def copy_model(folder: Path, model: OnnxFile, target: Path) -> None:
    """Copies a model of `folder` to `target`, and what lies beside it beside that."""
    copy_file(folder / model.path, target, mode=0o644)
    for one in model.data_files:
        copy_file(folder / one.path, target.parent / one.path, mode=0o644)


def _move(tensor: onnx.TensorProto, place: Place, reader: _DataReader, writer: _DataWriter) -> None:
    """The tensor's bytes into the model or into the writer's file."""
    from onnx import TensorProto

    chunks = reader.chunks(place)
    if place.length <= _INLINE_BYTES:
        tensor.ClearField("data_location")
        tensor.raw_data = b"".join(chunks)
        return
    offset = writer.offset_of(place, chunks)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA_FILE), ("offset", offset), ("length", place.length)):
        tensor.external_data.add(key=key, value=str(value))


class _DataReader:
    """The source's files of weights, each opened once."""

    def __init__(self, *, folder: Path, shown_as: str, opened: ExitStack) -> None:
        self._folder, self._shown_as, self._opened = folder, shown_as, opened
        self._files: dict[str, BinaryIO] = {}

    def chunks(self, place: Place) -> Iterator[bytes]:
        """The bytes of a place, piece by piece; raises ModelError when there are fewer."""
        try:
            if place.file not in self._files:
                opened = (self._folder / place.file).open("rb")
                self._files[place.file] = self._opened.enter_context(opened)
            file = self._files[place.file]
            file.seek(place.offset)
            left = place.length
            while left:
                chunk = file.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise OSError("it became shorter while it was read")
                left -= len(chunk)
                yield chunk
        except OSError as error:
            raise ModelError(
                f"its external data '{place.file}' can't be read: {error.strerror or error}",
                where=self._shown_as,
                hint="copy the file again",
            ) from error


class _DataWriter:
    """A file of tensors; what two tensors share is written once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._written: dict[Place, int] = {}

    def offset_of(self, source: Place, chunks: Iterator[bytes]) -> int:
        """Where the bytes of `source` begin here; they are written unless they were before."""
        if source not in self._written:
            self._put(b"\0" * (-self._file.tell() % _ALIGNMENT_BYTES))
            self._written[source] = self._file.tell()
            for chunk in chunks:
                self._put(chunk)
        return self._written[source]

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    def sha256(self) -> str:
        return self._hash.hexdigest()
