"""Makes INT8 models of one float model: ranges, placement, integer forms, rounded weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.events import EventStream
from edgesmith.model import onnx_file
from edgesmith.quantize.calibrate.distribution import Distribution
from edgesmith.quantize.calibrate.thresholds import METHODS, Range
from edgesmith.quantize.choice import chosen_ranges
from edgesmith.quantize.dynamic import quantize_dynamic
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.fitting import fitted_ranges, symmetric_ranges, with_pads
from edgesmith.quantize.ranges import ranges_by
from edgesmith.quantize.rounding.apply import LayerRounding, WeightRounding
from edgesmith.quantize.rounding.pairs import secure
from edgesmith.quantize.static import (
    QuantizationPlan,
    excluded_nodes,
    in_integers,
    kept_in_float,
    quantize_static,
)
from edgesmith.quantize.tailor import tailored, tailored_to_dynamic
from edgesmith.quantize.weight_scales import weight_overrides

if TYPE_CHECKING:
    import onnx

# The method of a model whose tensors each have the range of the method that serves it best.
BY_TENSOR = "by-tensor"


@dataclass(frozen=True, kw_only=True)
class Int8Model:
    """A file, with the ranges that its tensors got and what became of its weights."""

    path: Path
    method: str
    ranges: Mapping[str, Range]
    rounding: tuple[LayerRounding, ...]


@dataclass(frozen=True, kw_only=True)
class Quantizer:
    """Of the model in the file `prepared`, for which `found` tells what its tensors held with the
    calibration data in `samples`.

    `exclude` are patterns of names and types of nodes that stay in float, `sizes` those at which
    dynamic dimensions are checked. Files are written into `folder`.
    """

    prepared: Path
    found: Mapping[str, Distribution]
    samples: Path
    encoding: Encoding
    exclude: tuple[str, ...]
    sizes: Mapping[str, Sequence[int]]
    folder: Path
    events: EventStream
    threads: int = 0

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The float model that is quantized: tailored to the encoding's CPUs.

        Raises UsageError for a pattern that means no node.
        """
        return tailored(self.source, self.encoding, self.excluded, self.sizes, events=self.events)

    @cached_property
    def excluded(self) -> frozenset[str]:
        """The names of the nodes that `exclude` means."""
        return frozenset(excluded_nodes(self.source, self.exclude))

    @cached_property
    def kept(self) -> dict[str, str]:
        """The names of the others that stay in float, and why."""
        masks = [name for name, one in self.found.items() if one.holds_masks]
        known = with_pads(self.model, ranges_by(self.found, "minmax"))
        return kept_in_float(self.model, self.excluded, masks, known, fuses=self.encoding.fuses)

    @cached_property
    def in_integers(self) -> frozenset[str]:
        """The names of the nodes that compute in integers."""
        return in_integers(self.model, self.excluded | self.kept.keys())

    @cached_property
    def source(self) -> onnx.ModelProto:
        """The float model as it was observed."""
        return onnx_file.load(self.prepared)

    @cached_property
    def _rounding(self) -> WeightRounding:
        """One for all methods: most of their weights have the same scales."""
        return WeightRounding(
            prepared=self.model,
            samples=self.samples,
            limit=self.encoding.largest_weight,
            events=self.events,
            threads=self.threads,
            pairs=self.encoding.pairs,
        )

    @cached_property
    def _scales(self) -> dict[str, list[dict[str, Any]]]:
        return weight_overrides(
            self.model,
            self.in_integers,
            pairs=self.encoding.pairs,
            largest=self.encoding.largest_weight,
        )

    @cached_property
    def _path(self) -> Path:
        onnx_file.save(self.model, self.folder / "tailored.onnx")
        return self.folder / "tailored.onnx"

    def ranges(self, method: str) -> dict[str, Range]:
        """The range of each tensor by a method of calibration."""
        return self._fitted(ranges_by(self.found, method))

    def _fitted(self, ranges: Mapping[str, Range]) -> dict[str, Range]:
        fitted = fitted_ranges(self.model, ranges, self.in_integers)
        return symmetric_ranges(fitted) if self.encoding.symmetric else fitted

    def quantize(self, method: str) -> Int8Model:
        """Writes `<method>.onnx`; raises ModelError or UsageError."""
        return self._with_ranges(method, self.ranges(method))

    def quantize_by_tensor(self, start: Int8Model) -> Int8Model:
        """The same with that method's range for each tensor which serves the outputs best.

        `start` is what quantize() made of one of them.
        """
        others = [self.ranges(method) for method in METHODS if method != start.method]
        chosen = chosen_ranges(
            onnx_file.load(start.path),
            self.model,
            [start.ranges, *others],
            self.samples,
            events=self.events,
            threads=self.threads,
        )
        return self._with_ranges(BY_TENSOR, self._fitted(chosen))

    def quantize_dynamically(self, path: Path) -> None:
        """Writes the model that finds ranges in every inference; raises ModelError."""
        model = tailored_to_dynamic(
            self.source, self.excluded, self.sizes, events=self.events
        )  # fmt: skip
        onnx_file.save(model, source := self.folder / "dynamic.onnx")
        quantize_dynamic(source, self.excluded, path, events=self.events)

    def _with_ranges(self, method: str, ranges: dict[str, Range]) -> Int8Model:
        path = self.folder / f"{method}.onnx"
        plan = QuantizationPlan(
            model=self._path,
            ranges=ranges,
            method=method,
            encoding=self.encoding,
            in_integers=self.in_integers,
            scales=self._scales,
        )
        quantize_static(plan, path, events=self.events)
        quantized = onnx_file.load(path)
        rounding = self._rounding.apply(quantized)
        if self.encoding.pairs:
            secure(quantized)
        onnx_file.save(quantized, path)
        return Int8Model(path=path, method=method, ranges=ranges, rounding=rounding)
