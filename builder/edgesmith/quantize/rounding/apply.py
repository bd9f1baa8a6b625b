"""Replaces the integers of a quantized model's weights by better ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.events import EventStream, Progress
from edgesmith.quantize.rounding.layers import Layer, layers_of
from edgesmith.quantize.rounding.moments import blocks_of, cut, second_moments
from edgesmith.quantize.rounding.pairs import is_depthwise, mates_of
from edgesmith.quantize.rounding.solve import Rounded, rounded

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class LayerRounding:
    """How far a layer's outputs are from those with float weights, as signal over error in dB: with
    each weight at its nearest integer, and with those that were chosen."""

    node: str
    nearest_sqnr_db: float | None
    sqnr_db: float | None


@dataclass(frozen=True, kw_only=True)
class WeightRounding:
    """Rounds for several quantized forms of one model; what two of them share is solved once.

    `limit` is the largest integer, `samples` the calibration data. With `pairs` the integers are
    safe on CPUs that add two products in 16 bits.
    """

    prepared: onnx.ModelProto
    samples: Path
    limit: int
    events: EventStream
    threads: int = 0
    pairs: bool = False
    _known: dict[tuple[str, bytes], Rounded] = field(default_factory=dict)

    def apply(self, quantized: onnx.ModelProto) -> tuple[LayerRounding, ...]:
        """Rounds the weights of every Conv, Gemm and MatMul anew, in place."""
        layers = layers_of(self.prepared, quantized)
        self._solve([one for one in layers if self._key(one) not in self._known])
        stored = {one.name: one for one in quantized.graph.initializer}
        told = []
        for layer in layers:
            found = self._known[self._key(layer)]
            integers = layer.as_stored(found.integers)
            stored[layer.stored].ClearField("int32_data")
            stored[layer.stored].raw_data = integers.astype(np.int8).tobytes()
            told.append(
                LayerRounding(
                    node=layer.name,
                    nearest_sqnr_db=_decibels(found.signal, found.nearest_error),
                    sqnr_db=_decibels(found.signal, found.error),
                )
            )
        return tuple(told)

    @staticmethod
    def _key(layer: Layer) -> tuple[str, bytes]:
        return layer.name, layer.scale.tobytes()

    def _solve(self, layers: list[Layer]) -> None:
        moments = second_moments(self.prepared, layers, self.samples, threads=self.threads)
        for number, (layer, sums) in enumerate(moments, 1):
            blocks = blocks_of(layer)
            scale = np.repeat(layer.scale, blocks, axis=0)
            mates = _mates(layer, blocks) if self.pairs else None
            found = rounded(cut(layer.weights(), blocks), scale, sums, self.limit, mates)
            self._known[self._key(layer)] = _joined(found, layer, blocks)
            self.events.emit(
                Progress(stage="quantize", done=number, total=len(layers), unit="layers")
            )


def _mates(layer: Layer, blocks: int) -> np.ndarray[Any, Any]:
    """int64 [groups * blocks, n]: those within a block; others are made to fit afterwards."""
    depthwise = is_depthwise(layer.node, tuple(layer.tensor.dims))
    whole = mates_of(layer.inputs, layer.kernel, is_depthwise=depthwise)
    width = math.ceil(layer.inputs / blocks)
    found = np.tile(np.arange(width), (blocks, 1))
    for block in range(blocks):
        part = whole[block * width : (block + 1) * width] - block * width
        inside = (part >= 0) & (part < width)
        found[block, : part.size] = np.where(inside, part, found[block, : part.size])
    return np.tile(found, (layer.groups, 1))


def _joined(found: Rounded, layer: Layer, blocks: int) -> Rounded:
    """The blocks side by side again."""
    if blocks == 1:
        return found
    groups, rows, inputs = layer.shape
    parts = found.integers.reshape(groups, blocks, rows, -1).swapaxes(1, 2)
    return Rounded(
        integers=parts.reshape(groups, rows, -1)[:, :, :inputs],
        nearest_error=found.nearest_error,
        error=found.error,
        signal=found.signal,
    )


def _decibels(signal: float, error: float) -> float | None:
    if not 0 < signal < np.inf or not 0 < error < np.inf:
        return None
    return float(10 * np.log10(signal / error))
