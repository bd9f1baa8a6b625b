"""Train the digit classifier: `python train.py` writes weights.safetensors."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from model import WEIGHTS_PATH
from network import IMAGE_SIDE, DigitNet
from safetensors.torch import save_file
from split import Part, load_split
from torch.nn import functional

SEED = 7
BATCH_SIZE = 64
PEAK_LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
LABEL_SMOOTHING = 0.05
MAX_SHIFT_PIXELS = 0.75
MAX_ROTATION_RAD = 0.17
MAX_SCALE_CHANGE = 0.1
NOISE_STD = 0.03


def main() -> None:
    """Train, print the accuracy on the held-out digits, write the weights."""
    options = _parse_options()
    torch.manual_seed(SEED)
    split = load_split()
    started = time.monotonic()
    network = train(split.training, epochs=options.epochs)
    print(f"trained {options.epochs} epochs in {time.monotonic() - started:.0f} s")
    print(f"held-out top-1: {top1(network, split.evaluation):.4f}")
    save_file(network.state_dict(), options.output)


def train(part: Part, *, epochs: int) -> DigitNet:
    """Return a network fitted to randomly deformed copies of the part's images."""
    images, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    network = DigitNet()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    steps_per_epoch = len(labels) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, total_steps=epochs * steps_per_epoch
    )
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(labels))[: steps_per_epoch * BATCH_SIZE]
        for batch in order.view(steps_per_epoch, BATCH_SIZE).unbind():
            logits = network(_deform(images[batch]))
            loss = functional.cross_entropy(logits, labels[batch], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return network


def top1(network: DigitNet, part: Part) -> float:
    """Return the share of the part's images whose largest logit is their label."""
    network.eval()
    with torch.inference_mode():
        predicted = network(torch.from_numpy(part.images)).argmax(dim=1)
    return float((predicted == torch.from_numpy(part.labels)).float().mean())


def _deform(images: torch.Tensor) -> torch.Tensor:
    """Rotate, scale and shift each image a little, and add noise: 1097 samples are few."""
    count = len(images)
    angle = _uniform(count, MAX_ROTATION_RAD)
    zoom = 1 + _uniform(count, MAX_SCALE_CHANGE)
    # Grid coordinates run from -1 to 1 over the image's side.
    shift = _uniform(2 * count, 2 * MAX_SHIFT_PIXELS / IMAGE_SIDE).view(count, 2, 1)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    rotation = torch.stack([cosine, -sine, sine, cosine], dim=1).view(count, 2, 2)
    grid = functional.affine_grid(
        torch.cat([rotation, shift], dim=2), list(images.shape), align_corners=False
    )
    deformed = functional.grid_sample(images, grid, align_corners=False)
    return (deformed + NOISE_STD * torch.randn_like(deformed)).clamp(0, 1)


def _uniform(count: int, bound: float) -> torch.Tensor:
    return (torch.rand(count) * 2 - 1) * bound


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--output", type=Path, default=WEIGHTS_PATH)
    return parser.parse_args()


if __name__ == "__main__":
    main()
