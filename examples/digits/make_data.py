"""Write digits.npz from scikit-learn's 1797 digits: `python make_data.py` (needs scikit-learn)."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from split import DATA_PATH

SPLIT_SEED = 20260
CALIBRATION_COUNT = 200
EVALUATION_COUNT = 500


def main() -> None:
    """Split the digits into three disjoint parts with the same share of each digit."""
    digits = load_digits()
    rest, evaluation = _take(np.arange(len(digits.target)), digits.target, EVALUATION_COUNT)
    training, calibration = _take(rest, digits.target, CALIBRATION_COUNT)
    parts = {"training": training, "calibration": calibration, "evaluation": evaluation}
    arrays = {}
    for name, indices in parts.items():
        arrays[f"{name}_images"] = digits.images[indices].astype(np.uint8)
        arrays[f"{name}_labels"] = digits.target[indices].astype(np.uint8)
    np.savez_compressed(DATA_PATH, **arrays)


def _take(indices: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices into (the rest, `count` of them), stratified by label."""
    rest, taken = train_test_split(
        indices, test_size=count, random_state=SPLIT_SEED, stratify=labels[indices]
    )
    return rest, taken


if __name__ == "__main__":
    main()
