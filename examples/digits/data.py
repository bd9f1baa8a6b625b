"""Samples for edgesmith: what the model is calibrated with and what it is judged on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from split import load_split


def calibration() -> Iterator[dict[str, np.ndarray]]:
    """Yield 200 samples {"image": float32 [1, 1, 8, 8]} that training has not seen."""
    for image in load_split().calibration.images:
        yield {"image": image[None]}


def evaluation() -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Yield 500 held-out pairs ({"image": float32 [1, 1, 8, 8]}, digit 0 to 9)."""
    held_out = load_split().evaluation
    for image, label in zip(held_out.images, held_out.labels, strict=True):
        yield {"image": image[None]}, int(label)
