"""Reads files of samples (safetensors, stacked along a leading axis) without loading them whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from edgesmith.errors import ModelError
from edgesmith.worker.tensors import stored_tensors

Array = np.ndarray[Any, Any]
INPUTS, OUTPUTS, LABELS, GROUPS = "inputs/", "outputs/", "labels", "groups"


def _open(path: Path) -> Any:
    return safe_open(str(path), framework="numpy")


class Samples:
    """A file of samples; arrays are read sample by sample, into memory of their own.

    A mapped file's pages count as a process's memory for as long as nobody else wants it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = _open(path)
            self._names = tuple(self._file.keys())
            self.metadata: dict[str, str] = dict(self._file.metadata() or {})
            self.count = int(self.metadata["count"])
            self._stored = stored_tensors(path)
            self._bytes = path.open("rb")
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise ModelError(
                f"not a file of samples: {error}",
                where=str(path),
                hint="run the stage that made it again: edgesmith build",
            ) from error

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names of the tensors whose key starts with `prefix`, without it."""
        return tuple(n.removeprefix(prefix) for n in self._names if n.startswith(prefix))

    def group(self, prefix: str, index: int) -> dict[str, Array]:
        """All tensors below `prefix` of sample `index`."""
        return {n: self._read(prefix + n, index) for n in self.names(prefix)}

    def _read(self, name: str, index: int) -> Array:
        one = self._stored[name]
        if not 0 <= index < one.shape[0]:
            raise IndexError(f"sample {index} of {one.shape[0]}")
        values = np.empty(math.prod(one.shape[1:]), one.dtype)
        self._bytes.seek(one.offset + index * values.nbytes)
        self._bytes.readinto(values.view(np.uint8).data)
        return values.reshape(one.shape[1:])

    def whole(self, name: str) -> Array:
        """One whole tensor; for small ones such as labels."""
        found: Array = self._file.get_tensor(name)
        return found

    def has(self, name: str) -> bool:
        return name in self._names

    def feeds(self) -> Iterator[dict[str, Array]]:
        """Each sample's inputs."""
        for index in range(self.count):
            yield self.group(INPUTS, index)


def read_sample(path: Path, index: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """(inputs, outputs) of one sample."""
    samples = Samples(path)
    return samples.group(INPUTS, index), samples.group(OUTPUTS, index)


def calibration_samples(path: Path) -> Samples:
    """The samples to calibrate with; raises ModelError where there are none."""
    source = Samples(path)
    if not source.count:
        raise ModelError(
            "there are no calibration samples",
            where="data.calibration",
            hint="let it yield some: a hundred are usual",
        )
    return source
