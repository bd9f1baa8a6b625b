"""The classifier that edgesmith exports, with its trained weights."""

from __future__ import annotations

from pathlib import Path

import torch
from network import DigitNet
from safetensors.torch import load_file

WEIGHTS_PATH = Path(__file__).resolve().parent / "weights.safetensors"


def build() -> torch.nn.Module:
    """Return the trained network.

    It maps image, float32 [batch, 1, 8, 8] with values in [0, 1], to logits, float32 [batch, 10].
    """
    network = DigitNet()
    network.load_state_dict(load_file(WEIGHTS_PATH))
    return network
