"""The seeded split of scikit-learn's 1797 digits into training, calibration and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SPLIT_SEED = 20260
CALIBRATION_COUNT = 200
EVALUATION_COUNT = 500
MAX_INTENSITY = 16.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the data: images float32 [n, 1, 8, 8] in [0, 1], labels int64 [n]."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three disjoint parts with the same share of each digit."""

    training: Part
    calibration: Part
    evaluation: Part


def load_split() -> Split:
    """Return the split; every call gives the same samples in the same order."""
    digits = load_digits()
    images = (digits.images[:, None] / MAX_INTENSITY).astype(np.float32)
    labels = digits.target.astype(np.int64)
    rest, evaluation = _take(np.arange(len(labels)), labels, EVALUATION_COUNT)
    training, calibration = _take(rest, labels, CALIBRATION_COUNT)
    return Split(
        training=Part(images=images[training], labels=labels[training]),
        calibration=Part(images=images[calibration], labels=labels[calibration]),
        evaluation=Part(images=images[evaluation], labels=labels[evaluation]),
    )


def _take(indices: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices into (the rest, `count` of them), stratified by label."""
    rest, taken = train_test_split(
        indices, test_size=count, random_state=SPLIT_SEED, stratify=labels[indices]
    )
    return rest, taken
