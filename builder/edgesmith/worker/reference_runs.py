"""Runs PyTorch on the probes, and keeps what it answers: what every export must agree with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .failures import WorkerFailure, describe, place_in_project
from .model_source import TorchSource
from .outputs import dropped_outputs, is_flat
from .probes import Probe, nearby, with_given_integers
from .randomness import changed_buffers, random_operator
from .tensors import SamplesWriter

# Largest error relative to the reference's largest magnitude. Reordered sums of deep networks
# stay below 1e-5 of it; a wrong constant or axis is far above. Half precision has 3 digits.
TOLERANCE_REL = 1e-4
_HALF_TOLERANCE_REL = 1e-2
# How far PyTorch's own answer may move, at an extreme, when its input moves by a rounding error.
_UNSTABLE_REL = 1e-2
_MARGIN = 10.0
# Below this share of what the output is elsewhere, rounding is all that there is to compare.
_NEXT_TO_ZERO = 1e-5
# Two runs on the same input differ by no more than the order of parallel sums.
_REPEAT_REL = 1e-5


class ReferenceRuns:
    """Runs PyTorch on probes and keeps what it answers."""

    def __init__(self, source: TorchSource, request: Mapping[str, Any], folder: Path) -> None:
        self._source = source
        self._request = request
        self._folder = folder
        # The first plain one, and the one of the most elements.
        self._first: tuple[Probe, dict[str, Any]] | None = None
        self._largest: tuple[Probe, dict[str, Any]] | None = None
        self.told: list[dict[str, Any]] = []
        self.left_out: list[dict[str, str]] = []
        self.names: list[str] = []
        self.dropped: list[str] = []
        self.is_flat = True

    def add(self, probe: Probe) -> None:
        """Writes the probe and PyTorch's answer; some may be left out, with a reason."""
        tolerance = TOLERANCE_REL
        if probe.extreme or probe.optional:
            try:
                outputs = self._call(probe.arrays)
                moved = self._call(nearby(probe.arrays)) if probe.extreme else {}
            except WorkerFailure:
                raise
            # The model is the user's code: it may raise anything.
            except Exception as error:
                self._leave_out(probe, f"PyTorch fails on it: {describe(error)}")
                return
            if probe.extreme:
                reason, tolerance = self._steadiness(outputs, moved)
                if reason:
                    self._leave_out(probe, reason)
                    return
        else:
            probe, outputs = self._forward(probe)
            self._require_numbers(probe, outputs)
        if not probe.extreme and (not self._largest or probe.elements > self._largest[0].elements):
            self._largest = (probe, outputs)
        if any(value.dtype == np.float16 for value in [*outputs.values(), *probe.arrays]):
            tolerance = max(tolerance, _HALF_TOLERANCE_REL)
        self._write(probe, outputs, tolerance)

    def _call(self, arrays: Sequence[Any]) -> dict[str, Any]:
        return self._source.interface.call(self._source.module, arrays)

    def _leave_out(self, probe: Probe, reason: str) -> None:
        self.left_out.append({"inputs": probe.inputs, "reason": reason})

    def _forward(self, probe: Probe) -> tuple[Probe, dict[str, Any]]:
        """(the probe, or what PyTorch takes instead of it, its outputs)."""
        if self._first is None:
            self._look_at_outputs(probe)
        try:
            outputs = self._call(probe.arrays)
        except WorkerFailure:
            raise
        # The model is the user's code: it may raise anything.
        except Exception as error:
            other = with_given_integers(self._source.interface.leaves, probe)
            if other is None:
                raise self._fails_on(probe, error) from error
            return self._forward(other)
        if self._first is None:
            self._first = (probe, outputs)
        return probe, outputs

    def _look_at_outputs(self, probe: Probe) -> None:
        """How the outputs are nested, from a run of its own."""
        import torch

        interface = self._source.interface
        try:
            args, kwargs = interface.bind(interface.tensors(probe.arrays))
            with torch.inference_mode():
                result = self._source.module(*args, **kwargs)
        # The model is the user's code: it may raise anything.
        except Exception as error:
            raise self._fails_on(probe, error) from error
        self.is_flat, self.dropped = is_flat(result), dropped_outputs(result)

    def _fails_on(self, probe: Probe, error: Exception) -> WorkerFailure:
        names = [leaf.name for leaf in self._source.interface.leaves]
        shapes = {n: list(a.shape) for n, a in zip(names, probe.arrays, strict=True)}
        place = place_in_project(error, Path(self._request["project"]))
        return WorkerFailure(
            f"the model fails on inputs of shape {shapes}: {describe(error)}",
            where=place or f"model.source = {self._request['source']!r}",
            hint="correct forward(), or the shapes, sizes and ranges under [model.inputs]",
        )

    def _write(self, probe: Probe, outputs: Mapping[str, Any], tolerance: float) -> None:
        names = [leaf.name for leaf in self._source.interface.leaves]
        file = f"parity-{len(self.told)}.safetensors"
        writer = SamplesWriter(self._folder / file)
        tensors = {f"outputs/{name}": value for name, value in outputs.items()}
        tensors |= {f"inputs/{n}": a for n, a in zip(names, probe.arrays, strict=True)}
        writer.add(tensors)
        writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
        self.names = list(outputs)
        self.told.append(
            {
                "file": file,
                "inputs": probe.inputs,
                "sizes": dict(probe.sizes),
                "tolerance_rel": tolerance,
            }
        )

    def _steadiness(
        self, outputs: Mapping[str, Any], moved: Mapping[str, Any]
    ) -> tuple[str, float]:
        """(why an extreme probe tells nothing or "", the error to be allowed there)."""
        assert self._first is not None
        jump = 0.0
        for name, value in outputs.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                return f"PyTorch's own output '{name}' holds NaN or infinity there", TOLERANCE_REL
            if _magnitude(value) < _NEXT_TO_ZERO * _magnitude(self._first[1][name]):
                return f"PyTorch's own output '{name}' is next to zero there", TOLERANCE_REL
            jump = max(jump, _difference(value, moved[name]))
        if jump > _UNSTABLE_REL:
            reason = "PyTorch's own outputs change there with the last digit of the input"
            return reason, TOLERANCE_REL
        return "", max(TOLERANCE_REL, _MARGIN * jump)

    def _require_numbers(self, probe: Probe, outputs: Mapping[str, Any]) -> None:
        """Raises WorkerFailure when an output holds only NaN: any model agrees with that."""
        for name, value in outputs.items():
            if value.dtype.kind != "f" or not value.size or not np.isnan(value).all():
                continue
            at = " with " + ", ".join(f"{n} = {s}" for n, s in probe.sizes.items())
            raise WorkerFailure(
                f"PyTorch's own output '{name}' is NaN throughout{at if probe.sizes else ''}, on"
                " inputs as plain as random numbers",
                where=f"model.source = {self._request['source']!r}",
                hint="declare the sizes and the range of inputs that forward() takes, such as sizes"
                " = { batch = [2, 5] } or range = [0, 1] under [model.inputs.NAME]; see whether the"
                " weights are those of a good checkpoint",
            )

    def check_repeatable(self) -> None:
        """Raises WorkerFailure when the same input gives other outputs the second time.

        The largest one, since what is random may begin at a size.
        """
        assert self._largest is not None
        probe, before = self._largest
        after = self._call(probe.arrays)
        changed = [n for n in before if _difference(before[n], after[n]) > _REPEAT_REL]
        if not changed:
            return
        where = f"model.source = {self._request['source']!r}"
        differs = f"'{changed[0]}' differs between two runs on the same input"
        found = random_operator(self._source, probe.arrays, Path(self._request["project"]))
        if found is not None:
            raise WorkerFailure(
                f"forward() is random: {differs}; {found[0]} draws random numbers",
                where=found[1] or where,
                hint="use nn.Dropout instead of F.dropout, or pass training=self.training",
            )
        kept = changed_buffers(self._source, probe.arrays)
        named = f" changes {', '.join(kept)}, which is" if kept else " changes"
        raise WorkerFailure(
            f"forward(){named} what its next run starts from: {differs}",
            where=where,
            hint="an ONNX model starts each run anew: give what is kept to forward() as an input,"
            " and return it as an output",
        )


def _difference(before: Any, after: Any) -> float:
    """The largest change over the largest magnitude; infinite for another shape or integer."""
    if before.shape != after.shape:
        return float("inf")
    if before.dtype.kind != "f":
        return 0.0 if np.array_equal(before, after) else float("inf")
    finite = np.isfinite(before)
    if not np.array_equal(finite, np.isfinite(after)):
        return float("inf")
    if not finite.any():
        return 0.0
    wide, other = before[finite].astype(np.float64), after[finite].astype(np.float64)
    return float(np.abs(wide - other).max() / max(np.abs(wide).max(), 1e-6))


def _magnitude(value: Any) -> float:
    """The largest finite magnitude of a float output; 1 for others, which are compared exactly."""
    if value.dtype.kind != "f":
        return 1.0
    finite = np.abs(value[np.isfinite(value)].astype(np.float64))
    return float(finite.max()) if finite.size else 0.0
