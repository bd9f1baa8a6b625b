"""Seeded crops of the natural photographs that scikit-image and scikit-learn carry.

A camera would deliver these frames; the two lists share no picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import numpy as np
from PIL import Image

SEED = 20261
SIDE = 224
SMALLEST_SHARE = 0.45
CALIBRATION = (
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "coins.png"),
    ("skimage.data", "grass.png"),
    ("skimage.data", "rocket.jpg"),
    ("sklearn.datasets.images", "china.jpg"),
)
EVALUATION = (
    ("skimage.data", "brick.png"),
    ("skimage.data", "camera.png"),
    ("skimage.data", "chelsea.png"),
    ("skimage.data", "coffee.png"),
    ("skimage.data", "gravel.png"),
    ("skimage.data", "motorcycle_left.png"),
    ("sklearn.datasets.images", "flower.jpg"),
)


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A frame: pixels, uint8 [1, 224, 224, 3], and the picture that it was cut from."""

    pixels: np.ndarray
    picture: str


def crops(pictures: tuple[tuple[str, str], ...]) -> Iterator[Crop]:
    """Yield crops for ever, of each picture in turn; every call gives the same."""
    random = np.random.default_rng(SEED)
    images = {name: _open(package, name) for package, name in pictures}
    while True:
        for name, image in images.items():
            yield Crop(pixels=_crop(image, random), picture=name)


def _open(package: str, name: str) -> Image.Image:
    with resources.as_file(resources.files(package) / name) as path, Image.open(path) as image:
        return image.convert("RGB")


def _crop(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """Cut a square of random size and place, mirror every second one, scale it to 224 x 224."""
    side = min(image.size) * random.uniform(SMALLEST_SHARE, 1)
    left, top = (random.uniform(0, extent - side) for extent in image.size)
    box = (left, top, left + side, top + side)
    frame = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))
    return (frame[:, ::-1] if random.random() < 0.5 else frame)[None]
