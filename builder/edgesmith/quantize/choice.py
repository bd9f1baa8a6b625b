"""Chooses a range for each tensor by what it does to the model's outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.data.samples import INPUTS, Samples
from edgesmith.events import EventStream, Progress
from edgesmith.model import numeric
from edgesmith.quantize.calibrate.thresholds import LEVELS, Range
from edgesmith.values import SessionOptions

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]
Ranges = Mapping[str, Range]

_SAMPLES = 12
# A gain of less on so few samples may be chance.
_LEAST_GAIN = 0.005
# Ranges that differ by less of their width are the same.
_LEAST_CHANGE = 0.02
_AS_WRITTEN = SessionOptions(graph_optimization_level="disable")


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """Where the steps of some tensors stand in the quantized model; all have the same."""

    scale: str
    zero: str
    scale_type: Any
    integer_type: Any
    tensors: tuple[str, ...]

    def feeds(self, chosen: Range) -> dict[str, Array]:
        """The scale and zero point of a range, which holds zero."""
        low, high = chosen
        limits = np.iinfo(self.integer_type)
        scale = np.array((high - low) / (LEVELS - 1), self.scale_type)
        zero = np.clip(np.rint(limits.min - low / float(scale)), limits.min, limits.max)
        return {self.scale: scale, self.zero: np.array(zero, self.integer_type)}


def chosen_ranges(
    quantized: onnx.ModelProto,
    model: onnx.ModelProto,
    by_method: Sequence[Ranges],
    samples: Path,
    *,
    events: EventStream,
    threads: int = 0,
) -> dict[str, Range]:
    """For each tensor the range of that method of `by_method` with which the outputs of `quantized`
    are nearest those of the float `model`, tensor after tensor in the order of the graph.

    `quantized` has the ranges of the first method. Its scales become inputs of one session, which
    computes in float between them. A dozen of the calibration samples is run for each candidate.
    """
    steps = list(_steps(quantized, by_method[0]))
    trial = _Trial(quantized, model, steps, samples, threads)
    found = dict(by_method[0])
    feeds: dict[str, Array] = {}
    least = trial.error(feeds)
    for number, one in enumerate(steps, 1):
        first = one.tensors[0]
        for chosen in dict.fromkeys(ranges[first] for ranges in by_method[1:]):
            if not chosen[0] < chosen[1] or _is_near(chosen, found[first]):
                continue
            changed = {**feeds, **one.feeds(chosen)}
            error = trial.error(changed)
            if error < least * (1 - _LEAST_GAIN):
                least, feeds = error, changed
                found |= dict.fromkeys(one.tensors, chosen)
        events.emit(Progress(stage="quantize", done=number, total=len(steps), unit="tensors"))
    return found


def _is_near(one: Range, other: Range) -> bool:
    width = max(one[1] - one[0], other[1] - other[0])
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= _LEAST_CHANGE * width


def _steps(quantized: onnx.ModelProto, ranges: Ranges) -> Iterable[_Steps]:
    from onnx import numpy_helper

    stored = {one.name: one for one in quantized.graph.initializer}
    tensors: dict[tuple[str, str], list[str]] = {}
    for node in quantized.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in ranges:
            continue
        if len(node.input) > 2 and all(name in stored for name in node.input[1:]):
            tensors.setdefault((node.input[1], node.input[2]), []).append(node.input[0])
    for (scale, zero), names in tensors.items():
        types = [numpy_helper.to_array(stored[name]).dtype for name in (scale, zero)]
        if not stored[scale].dims:
            yield _Steps(
                scale=scale,
                zero=zero,
                scale_type=types[0],
                integer_type=types[1],
                tensors=tuple(dict.fromkeys(names)),
            )


class _Trial:
    """The quantized model with scales that are fed, and what the float model gives."""

    def __init__(
        self,
        quantized: onnx.ModelProto,
        model: onnx.ModelProto,
        steps: Sequence[_Steps],
        samples: Path,
        threads: int,
    ) -> None:
        self._session = numeric.open_session(
            _with_scales_fed(quantized, steps), _AS_WRITTEN, threads=threads
        )
        float_session = numeric.open_session(model.SerializeToString(), threads=threads)
        source = Samples(samples)
        used = sorted({i * source.count // _SAMPLES for i in range(_SAMPLES)})[: source.count]
        taken = {one.name for one in float_session.get_inputs()}
        self._feeds = [
            {n: a for n, a in source.group(INPUTS, index).items() if n in taken} for index in used
        ]
        self._names = [one.name for one in float_session.get_outputs() if "float" in one.type]
        self._wanted = [float_session.run(self._names, feeds) for feeds in self._feeds]

    def error(self, steps: Mapping[str, Array]) -> float:
        """Squared distances of the outputs, each by its own size, summed."""
        total = 0.0
        for feeds, wanted in zip(self._feeds, self._wanted, strict=True):
            found = self._session.run(self._names, {**feeds, **steps})
            for one, other in zip(wanted, found, strict=True):
                exact = one.astype(np.float64)
                size = float((exact**2).sum()) or 1.0
                total += float(((other - exact) ** 2).sum()) / size
        return total if np.isfinite(total) else np.inf


def _with_scales_fed(quantized: onnx.ModelProto, steps: Sequence[_Steps]) -> bytes:
    """Each scale and zero point is an input too, whose default is what is stored."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(quantized)
    stored = {one.name: one for one in model.graph.initializer}
    listed = {one.name for one in model.graph.input}
    for name in (name for one in steps for name in (one.scale, one.zero)):
        if name not in listed:
            kind = stored[name].data_type
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, []))
            listed.add(name)
    return bytes(model.SerializeToString())
