"""The second moments of what layers take, over a part of the calibration samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.data.samples import INPUTS, Samples
from edgesmith.model import numeric
from edgesmith.quantize.rounding.layers import Layer

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

_SAMPLES = 32
# Rows seen for each number of inputs: fewer would be made up for rather than measured.
_ROWS_PER_INPUT, _LEAST_ROWS = 4, 2048
# Time grows with the square of a part's width: one of this takes a second for its matrix.
_WIDEST = 1536
# Of all matrices that are held at once.
_MOST_BYTES = 256_000_000


def blocks_of(layer: Layer) -> int:
    """Into how many parts the inputs of a wide layer are cut, as if they had nothing in common."""
    return math.ceil(layer.inputs / _WIDEST)


def cut(array: Array, blocks: int) -> Array:
    """[groups, rows, n] as [groups * blocks, rows, n / blocks], with zeros at the end."""
    if blocks == 1:
        return array
    groups, rows, inputs = array.shape
    width = math.ceil(inputs / blocks)
    padded = np.pad(array, [(0, 0), (0, 0), (0, width * blocks - inputs)])
    parts = padded.reshape(groups, rows, blocks, width).swapaxes(1, 2)
    return parts.reshape(groups * blocks, rows, width)


def second_moments(
    model: onnx.ModelProto, layers: Sequence[Layer], samples: Path, *, threads: int
) -> Iterator[tuple[Layer, Array]]:
    """(layer, float32 [groups * blocks, n, n]) for each: sums of products of its inputs.

    The samples are run once for as many layers as fit into 256 MB, or for one that takes more.
    """
    for part in _parts(layers):
        yield from zip(part, _sums(model, part, samples, threads), strict=True)


def _parts(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    part: list[Layer] = []
    held = 0
    for layer in layers:
        blocks = blocks_of(layer)
        size = 4 * layer.groups * blocks * math.ceil(layer.inputs / blocks) ** 2
        if part and held + size > _MOST_BYTES:
            yield part
            part, held = [], 0
        part.append(layer)
        held += size
    if part:
        yield part


def _sums(
    model: onnx.ModelProto, layers: Sequence[Layer], samples: Path, threads: int
) -> list[Array]:
    source = Samples(samples)
    session, names = _session(model, layers, threads)
    taken = {one.name for one in session.get_inputs()}
    used = sorted({i * source.count // _SAMPLES for i in range(_SAMPLES)})[: source.count]
    generator = np.random.default_rng(0)
    sums: list[Array | None] = [None] * len(layers)
    for index in used:
        feeds = {n: a for n, a in source.group(INPUTS, index).items() if n in taken}
        told = dict(feeds)
        if names:
            told |= numeric.run_session(
                session, feeds, shown_as=f"calibration sample {index}", names=names
            )
        for number, layer in enumerate(layers):
            most = math.ceil(max(_ROWS_PER_INPUT * layer.inputs, _LEAST_ROWS) / len(used))
            rows = cut(layer.rows(told[layer.input], most, generator), blocks_of(layer))
            products = rows.swapaxes(1, 2) @ rows
            before = sums[number]
            if before is None:
                sums[number] = products
            else:
                before += products
    return [one for one in sums if one is not None]


def _session(
    model: onnx.ModelProto, layers: Sequence[Layer], threads: int
) -> tuple[Any, list[str]]:
    """A session that gives what the layers take, and the names of that."""
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    constants = {one.name for one in model.graph.initializer}
    inputs = {value.name for value in model.graph.input if value.name not in constants}
    names = list(dict.fromkeys(one.input for one in layers if one.input not in inputs))
    there = {value.name for value in model.graph.output}
    for name in names:
        if name not in there:
            watched.graph.output.append(onnx.ValueInfoProto(name=name))
    data = watched.SerializeToString(deterministic=True)
    return numeric.open_session(data, threads=threads), names
