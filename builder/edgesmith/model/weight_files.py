"""Models whose weights are more than one ONNX file can hold: they lie in a second file beside it.

The ONNX file names the SHA-256 of that file, so its own hash stands for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from edgesmith.files import copy_file
from edgesmith.model import onnx_file
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


def is_too_large(model: onnx.ModelProto, path: Path, *, shown_as: str) -> bool:
    """Whether the model at `path`, loaded without its data, can't become one file.

    Raises ModelError for files with data that are missing, short or elsewhere.
    """
    outside = onnx_file.external_data(model, path, shown_as=shown_as)
    return bool(model.ByteSize() + sum(outside.values()) > onnx_file.MAX_PROTOBUF_BYTES)


def save_with_data(model: onnx.ModelProto, source: Path, path: Path) -> None:
    """Writes the model to `path` and the weights of `source` beside it, as DATA_FILE.

    `model` is `source` loaded without its data, and changed in place. Memory does not grow with
    the weights; the same model gives the same bytes, however its data was laid out.
    """
    with ExitStack() as opened:
        writer = _DataWriter(opened.enter_context((path.parent / DATA_FILE).open("xb")))
        files: dict[str, BinaryIO] = {}
        for tensor in onnx_file.all_tensors(model):
            place = {entry.key: entry.value for entry in tensor.external_data}
            if "location" not in place:
                continue
            name = place["location"]
            if name not in files:
                files[name] = opened.enter_context((source.parent / name).open("rb"))
            _move(tensor, place, files[name], writer)
        digest = writer.sha256()
    model.metadata_props.add(key=DATA_SHA256, value=digest)
    onnx_file.save(model, path)


def copy_model(folder: Path, model: OnnxFile, target: Path) -> None:
    """Copies a model of `folder` to `target`, and what lies beside it beside that."""
    copy_file(folder / model.path, target, mode=0o644)
    for one in model.data_files:
        copy_file(folder / one.path, target.parent / one.path, mode=0o644)


def _move(tensor: Any, place: dict[str, str], data: BinaryIO, writer: _DataWriter) -> None:
    """The tensor's bytes into the model or into the writer's file."""
    from onnx import TensorProto

    begin = int(place.get("offset", 0))
    length = int(place.get("length", 0) or onnx_file.tensor_bytes(tensor))
    del tensor.external_data[:]
    data.seek(begin)
    if length <= _INLINE_BYTES:
        tensor.ClearField("data_location")
        tensor.raw_data = data.read(length)
        return
    offset = writer.offset_of((data.name, begin, length), _chunks(data, length))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA_FILE), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _chunks(data: BinaryIO, length: int) -> Iterator[bytes]:
    left = length
    while left:
        chunk = data.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise OSError(f"{data.name} became shorter while it was read")
        left -= len(chunk)
        yield chunk


class _DataWriter:
    """A file of tensors; what two tensors share is written once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._written: dict[tuple[str, int, int], int] = {}

    def offset_of(self, identity: tuple[str, int, int], chunks: Iterator[bytes]) -> int:
        """Where these bytes begin; they are written unless `identity` was before."""
        if identity not in self._written:
            self._put(b"\0" * (-self._file.tell() % _ALIGNMENT_BYTES))
            self._written[identity] = self._file.tell()
            for chunk in chunks:
                self._put(chunk)
        return self._written[identity]

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    def sha256(self) -> str:
        return self._hash.hexdigest()
