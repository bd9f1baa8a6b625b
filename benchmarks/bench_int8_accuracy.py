"""INT8 of EfficientNet-Lite0 on photographs, against quantize_static and NNCF, over five splits.

Each split gives other pictures to calibration, to the choice among methods, and to the test. Files
are compared as one CPU runs them: U8S8, weights of 8 bits, per channel. Needs a CPU with VNNI (on
others all files would be judged by kernels that saturate), and `pip install nncf`.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from image_project import prepared_model
from int8_sides import (
    LIBRARY_METHODS,
    OPTIONS,
    by_edgesmith,
    by_nncf,
    by_the_library,
    quantizer,
)

from edgesmith.model import numeric

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples/efficientnet-lite0"
SEEDS = 5
CALIBRATION, SELECTION, TEST = 100, 40, 140
LEAST_GAIN_DB = 1.0
RESAMPLES = 2000
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Crops:
    """Images, float32 [1, 3, 224, 224] each, and the picture that each comes from."""

    images: list[Array]
    pictures: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """Of one file on the test crops; `agrees` is bool [crops]."""

    sqnr_db: float
    agrees: Array


def main() -> int:
    """1 when the gain is missed, or when agreement is clearly lost."""
    if "avx512_vnni" not in Path("/proc/cpuinfo").read_text():
        print("not measured: this CPU has no VNNI")
        return 1
    scores: dict[str, list[Score]] = {}
    pictures = []
    with tempfile.TemporaryDirectory() as name:
        model = prepared_model(Path(name) / "project", EXAMPLE / "model.py")
        for seed in range(SEEDS):
            folder = Path(name) / str(seed)
            folder.mkdir()
            calibration, selection, test = split(seed)
            pictures.append(test.pictures)
            for title, path in files(model, calibration, selection, folder).items():
                scores.setdefault(title, []).append(score(model, path, test))
                one = scores[title][-1]
                print(f"split {seed}: {title}: {one.sqnr_db:.2f} dB,"
                      f" {one.agrees.mean():.1%} agree", flush=True)  # fmt: skip
    return 0 if judged(scores, np.concatenate(pictures)) else 1


def split(seed: int) -> tuple[Crops, Crops, Crops]:
    """Calibration, selection and test crops, of different pictures."""
    sys.path.insert(0, str(EXAMPLE))
    import crops

    pictures = crops.CALIBRATION + crops.EVALUATION
    order = [pictures[i] for i in np.random.default_rng(seed).permutation(len(pictures))]

    def taken(some: list[tuple[str, str]], count: int) -> Crops:
        found = crops.crops(tuple(some))
        cut = [next(found) for _ in range(count)]
        images = [
            ((one.pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2) for one in cut
        ]
        return Crops(images=images, pictures=np.array([one.picture for one in cut]))

    return (
        taken(order[:5], CALIBRATION),
        taken(order[5:7], SELECTION),
        taken(order[7:], TEST),
    )


def files(model: Path, calibration: Crops, selection: Crops, folder: Path) -> dict[str, Path]:
    """What each tool makes of the same calibration crops."""
    name = numeric.open_session(model).get_inputs()[0].name
    feeds = [{name: image} for image in calibration.images]
    made_by = quantizer(model, feeds, folder)
    made = {"edgesmith": by_edgesmith(made_by, lambda one: score(model, one, selection).sqnr_db)}
    for method in LIBRARY_METHODS:
        path = folder / f"library-{method}.onnx"
        made[f"quantize_static, {method}"] = by_the_library(model, feeds, path, method)
    for fast in (True, False):
        title = f"NNCF, {'fast' if fast else 'full'} bias correction"
        made[title] = by_nncf(model, feeds, folder / f"nncf-{fast}.onnx", fast=fast)
    return made


def score(model: Path, path: Path, crops: Crops) -> Score:
    """Logits and first choices against those of the FP32 model."""
    wanted, found = (logits(one, crops) for one in (model, path))
    noise = ((wanted - found) ** 2).sum()
    return Score(
        sqnr_db=float(10 * np.log10((wanted**2).sum() / noise)),
        agrees=wanted.argmax(axis=1) == found.argmax(axis=1),
    )


def logits(path: Path, crops: Crops) -> Array:
    session = numeric.open_session(path, OPTIONS, threads=2)
    feed = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {feed: image})[0] for image in crops.images])


def judged(scores: dict[str, list[Score]], pictures: Array) -> bool:
    """Prints the medians and the verdicts."""
    medians = {t: float(np.median([one.sqnr_db for one in s])) for t, s in scores.items()}
    agrees = {t: np.concatenate([one.agrees for one in s]) for t, s in scores.items()}
    for title in scores:
        print(f"{title}: median {medians[title]:.2f} dB, {agrees[title].mean():.1%} agree")
    others = [title for title in scores if title != "edgesmith"]
    gain = medians["edgesmith"] - max(medians[title] for title in others)
    print(f"over the best of the others: {gain:+.2f} dB, at least {LEAST_GAIN_DB} dB:"
          f" {'holds' if gain >= LEAST_GAIN_DB else 'MISSED'}")  # fmt: skip
    best = max(others, key=lambda title: agrees[title].mean())
    difference = agrees["edgesmith"].astype(float) - agrees[best]
    low, high = interval(difference, pictures)
    holds = high >= 0
    print(f"agreement over that of {best}: {100 * difference.mean():+.2f} points"
          f" [{100 * low:.2f}, {100 * high:.2f}]: {'holds' if holds else 'MISSED'}")  # fmt: skip
    return gain >= LEAST_GAIN_DB and holds


def interval(difference: Array, pictures: Array) -> tuple[float, float]:
    """95 % of the means when whole pictures are drawn again."""
    generator = np.random.default_rng(0)
    names = np.unique(pictures)
    sums = np.array([difference[pictures == name].sum() for name in names])
    counts = np.array([(pictures == name).sum() for name in names])
    drawn = generator.integers(0, len(names), (RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    sys.exit(main())
