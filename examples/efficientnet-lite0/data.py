"""Samples for edgesmith: frames as a camera gives them, uint8 [1, 224, 224, 3]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from crops import CALIBRATION, EVALUATION, crops


def calibration() -> Iterator[dict[str, np.ndarray]]:
    """Yield {"image": frame} without end: calibration_samples says how many are read."""
    for crop in crops(CALIBRATION):
        yield {"image": crop.pixels}


def evaluation() -> Iterator[tuple[dict[str, np.ndarray], None, str]]:
    """Yield ({"image": frame}, no label, picture) without end, from other pictures.

    Crops of one picture resemble each other: the name of the picture groups them.
    """
    for crop in crops(EVALUATION):
        yield {"image": crop.pixels}, None, crop.picture
