"""The ranges of a model's tensors by one method, in the form that the quantizer reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from edgesmith.quantize.calibrate.distribution import Distribution
from edgesmith.quantize.calibrate.thresholds import Range, range_of


def ranges_by(found: Mapping[str, Distribution], method: str) -> dict[str, Range]:
    """The range of each tensor that 8 bits can hold, by name; see thresholds.range_of()."""
    return {name: range_of(one, method) for name, one in found.items() if not one.holds_masks}


def write_ranges(ranges: Mapping[str, Range], halves: Collection[str], path: Path) -> None:
    """Writes them as onnxruntime.quantization's cache of calibrated ranges.

    It makes scales of the ranges' type, which must be the tensor's: `halves` are float16.
    """
    from onnxruntime.quantization.calibrate import (
        CalibrationMethod,
        TensorData,
        TensorsData,
        save_tensors_data,
    )

    data = {
        name: TensorData(
            lowest=np.array(low, np.float16 if name in halves else np.float32),
            highest=np.array(high, np.float16 if name in halves else np.float32),
        )
        for name, (low, high) in ranges.items()
    }
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), path)
