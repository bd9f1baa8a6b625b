"""The digits of digits.npz: training, calibration and evaluation, in the order of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA_PATH = Path(__file__).resolve().parent / "digits.npz"
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
    with np.load(DATA_PATH, allow_pickle=False) as archive:
        parts = {name: _part(archive, name) for name in ("training", "calibration", "evaluation")}
    return Split(**parts)


def _part(archive: np.lib.npyio.NpzFile, name: str) -> Part:
    images = (archive[f"{name}_images"][:, None] / MAX_INTENSITY).astype(np.float32)
    return Part(images=images, labels=archive[f"{name}_labels"].astype(np.int64))
