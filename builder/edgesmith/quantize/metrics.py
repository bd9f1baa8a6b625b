"""The metrics of `[data] metrics`, over all evaluation samples, higher always being better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesmith.data.samples import LABELS, OUTPUTS, Samples
from edgesmith.errors import ModelError
from edgesmith.model import numeric
from edgesmith.values import MetricValue, SessionOptions

Array = np.ndarray[Any, Any]

TOP_K = {"top1": 1, "top5": 5}
# An error metric: less is better, so a loss is candidate minus baseline.
LOWER_IS_BETTER = frozenset({"max_abs_error"})
# SQNR of equal outputs is infinite, which JSON can't hold.
MAX_SQNR_DB = 200.0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What metrics are computed from; `reference` is in the order of the model's outputs.

    `metrics` are those that edgesmith computes.
    """

    samples: Path
    reference: Path
    metrics: tuple[str, ...]


def evaluate(
    model: Path,
    options: SessionOptions,
    evaluation: Evaluation,
    *,
    threads: int = 1,
    on_outputs: Callable[[dict[str, Array]], None] | None = None,
) -> tuple[MetricValue, ...]:
    """The metrics of one model file; raises ModelError when a metric does not fit the model.

    `on_outputs` gets the outputs of each sample.
    """
    session = numeric.open_session(model, options, threads=threads)
    samples, reference = Samples(evaluation.samples), Samples(evaluation.reference)
    labels = samples.whole(LABELS) if samples.has(LABELS) else None
    sums = {name: _Accumulator(name) for name in evaluation.metrics}
    for index, feeds in enumerate(samples.feeds()):
        outputs = numeric.run_session(session, feeds, shown_as=model.name)
        wanted = reference.group(OUTPUTS, index)
        _require_shapes(outputs, wanted, index, model.name)
        if on_outputs is not None:
            on_outputs(outputs)
        label = None if labels is None else int(labels[index])
        for accumulator in sums.values():
            accumulator.add(outputs, wanted, label)
    return tuple(accumulator.value() for accumulator in sums.values())


def loss(baseline: Iterable[MetricValue], candidate: Iterable[MetricValue], metric: str) -> float:
    """How much worse `candidate` is in `metric`, in the metric's unit; negative when better."""
    before = next(m.value for m in baseline if m.name == metric)
    after = next(m.value for m in candidate if m.name == metric)
    return after - before if metric in LOWER_IS_BETTER else before - after


class _Accumulator:
    """One metric, summed over samples as the harness does; the first output decides for top-k, the
    worst of the outputs for the errors."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._hits = 0
        self._errors: dict[str, _Errors] = {}
        self._broken = 0
        self._count = 0

    def add(
        self, outputs: Mapping[str, Array], reference: Mapping[str, Array], label: int | None
    ) -> None:
        name = next(iter(outputs))
        self._count += 1
        if self._metric in TOP_K:
            if label is not None:
                _require_one_row(outputs[name])
            found, wanted = outputs[name].reshape(-1), reference[name].reshape(-1)
            self._hits += _in_top(self._metric, found, wanted, label)
            return
        pairs = [
            (one, values.astype(np.float64), reference[one].astype(np.float64))
            for one, values in outputs.items()
        ]
        if not all(np.isfinite(found).all() and np.isfinite(to).all() for _, found, to in pairs):
            self._broken += 1
            return
        for one, values, wanted in pairs:
            self._errors.setdefault(one, _Errors()).add(values, wanted)

    def value(self) -> MetricValue:
        if self._broken:
            raise ModelError(
                f"{self._broken} of {self._count} samples have values that are not finite, in the"
                " output or its reference",
                where="data.metrics",
                hint="mend the model, or leave these samples out of data.evaluation",
            )
        if self._metric in TOP_K:
            value = self._hits / self._count
        else:
            values = [errors.value(self._metric) for errors in self._errors.values()]
            value = max(values) if self._metric in LOWER_IS_BETTER else min(values)
        return MetricValue(name=self._metric, value=value, samples=self._count)


class _Errors:
    """Differences of one output from its reference."""

    def __init__(self) -> None:
        self._cosine = 0.0
        self._noise = 0.0
        self._signal = 0.0
        self._worst = 0.0
        self._count = 0

    def add(self, found: Array, wanted: Array) -> None:
        power, signal = float(np.square(found).sum()), float(np.square(wanted).sum())
        if power == 0.0 or signal == 0.0:
            self._cosine += float(power == signal)
        else:
            self._cosine += min(1.0, float((found * wanted).sum()) / math.sqrt(power * signal))
        self._noise += float(np.square(found - wanted).sum())
        self._signal += signal
        self._worst = max(self._worst, float(np.abs(found - wanted).max(initial=0.0)))
        self._count += 1

    def value(self, metric: str) -> float:
        match metric:
            case "max_abs_error":
                return self._worst
            case "sqnr_db":
                return sqnr_db(self._signal, self._noise)
            case _:
                return self._cosine / self._count


def _in_top(metric: str, found: Array, wanted: Array, label: int | None) -> bool:
    """Whether the label, or without one the reference's best, is among the output's best."""
    k = TOP_K[metric]
    if found.size <= k:
        raise ModelError(
            f"{metric} needs an output of more than {k} classes, the model's first"
            f" output has {found.size}",
            where="data.metrics",
            hint="use cosine, sqnr_db or max_abs_error",
        )
    truth = int(wanted.argmax()) if label is None else label
    if not 0 <= truth < found.size:
        raise ModelError(
            f"the label {truth} is no class of the model's {found.size}",
            where="data.evaluation",
            hint="yield labels that index the model's first output",
        )
    compared = found if label is not None else np.concatenate([found, wanted])
    if np.isnan(compared.astype(np.float64)).any():
        return False
    # A stable order makes ties fall to the lower class, as in the harness.
    return truth in np.argsort(-found, kind="stable")[:k]


def _require_shapes(
    outputs: Mapping[str, Array], reference: Mapping[str, Array], index: int, shown_as: str
) -> None:
    """What quantization rounds may change how many boxes or words a model finds."""
    for name, found in outputs.items():
        if found.shape != reference[name].shape:
            raise ModelError(
                f"the output '{name}' of {shown_as} for evaluation sample {index} is"
                f" {list(found.shape)}, its reference {list(reference[name].shape)}: its size"
                " depends on the values",
                where="data.metrics",
                hint="pad it to a fixed size in the model, such as the best 100 and their number,"
                ' or set [quantize] precision = "fp32"',
            )


def _require_one_row(output: Array) -> None:
    """One label judges one row of classes."""
    if output.ndim > 1 and output.size != output.shape[-1]:
        raise ModelError(
            f"a sample has one label, but the model's first output for it is {list(output.shape)}:"
            " more than one row of classes",
            where="data.evaluation",
            hint="yield one item at a time, with a batch dimension of 1; for other outputs give"
            " reference outputs instead of labels",
        )


def sqnr_db(signal: float, noise: float) -> float:
    """Signal to quantization-noise ratio in dB, at most MAX_SQNR_DB."""
    if noise <= 0.0 or signal <= 0.0:
        return MAX_SQNR_DB if noise <= 0.0 else -MAX_SQNR_DB
    return min(MAX_SQNR_DB, 10.0 * float(np.log10(signal / noise)))
