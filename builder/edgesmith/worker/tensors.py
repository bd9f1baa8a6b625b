"""Writes and reads safetensors files of samples, one sample at a time."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Array = np.ndarray[Any, Any]

_TYPES = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "bool": "BOOL",
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
}
_DTYPES = {code: name for name, code in _TYPES.items()}


class ShapeChanged(ValueError):
    """A tensor has another shape or type than in the samples before: they can't be stacked."""

    def __init__(self, name: str, found: Array, before: tuple[str, tuple[int, ...]]) -> None:
        self.name = name
        dtype, shape = before
        super().__init__(
            f"is {found.dtype.name} {list(found.shape)} there, {dtype} {list(shape)} for the"
            " samples before"
        )


class SamplesWriter:
    """Streams samples to a file whose tensors are stacked along a leading axis.

    Each tensor grows in a file of its own beside the final one, so that memory holds one
    sample whatever their number.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: dict[str, BinaryIO] = {}
        self._facts: dict[str, tuple[str, tuple[int, ...]]] = {}
        self.count = 0

    def names(self) -> tuple[str, ...]:
        """The tensors of the samples so far."""
        return tuple(self._facts)

    def facts(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """(dtype, shape) of the samples of tensor `name` so far."""
        return self._facts.get(name)

    def add(self, tensors: Mapping[str, Array]) -> None:
        """Adds one sample; every sample must have the tensors and shapes of the first.

        Raises ShapeChanged, before anything is written.
        """
        for name, array in tensors.items():
            before = self._facts.get(name)
            if before is not None and before != (array.dtype.name, array.shape):
                raise ShapeChanged(name, array, before)
        for name, array in tensors.items():
            if name not in self._parts:
                part = self._path.with_name(f".{self._path.name}.part-{len(self._parts)}")
                self._parts[name] = part.open("w+b")
                self._facts[name] = (array.dtype.name, array.shape)
            self._parts[name].write(np.ascontiguousarray(array).tobytes())
        self.count += 1

    def close(self, metadata: Mapping[str, str]) -> None:
        """Writes the final file and removes the parts."""
        header: dict[str, Any] = {"__metadata__": dict(metadata) | {"count": str(self.count)}}
        offset = 0
        for name in sorted(self._parts):
            dtype, shape = self._facts[name]
            size = self._parts[name].tell()
            header[name] = {
                "dtype": _TYPES[dtype],
                "shape": [self.count, *shape],
                "data_offsets": [offset, offset + size],
            }
            offset += size
        text = json.dumps(header, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        with self._path.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in sorted(self._parts):
                self._parts[name].seek(0)
                shutil.copyfileobj(self._parts[name], file, 1 << 20)
        self.discard()

    def discard(self) -> None:
        """Removes the parts."""
        for part in self._parts.values():
            part.close()
            Path(part.name).unlink(missing_ok=True)
        self._parts = {}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor in a file; `offset` is in bytes from the file's start."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


def stored_tensors(path: Path) -> dict[str, Stored]:
    """Where the tensors of a sound file lie, in that order."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: Stored(
            dtype=np.dtype(_DTYPES[facts["dtype"]]),
            shape=tuple(facts["shape"]),
            offset=8 + length + facts["data_offsets"][0],
        )
        for name, facts in sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    }


def open_samples(path: Path) -> dict[str, Array]:
    """Memory-mapped tensors of a sound file, in the order in which they lie there."""
    return {
        name: np.memmap(path, one.dtype, "r", one.offset, one.shape)
        if 0 not in one.shape
        else np.empty(one.shape, one.dtype)
        for name, one in stored_tensors(path).items()
    }
