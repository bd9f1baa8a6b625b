"""The architecture, shared by training and export."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

IMAGE_SIDE = 8
DIGIT_COUNT = 10

# Integer convolution kernels pack 16 or more channels, so all widths are multiples of 16. A stem
# with one input channel gains nothing from INT8: it stays narrow, and the work lies behind it.
WIDTHS = (32, 96, 80)


class DigitNet(nn.Module):
    """Plain 3x3 convolutions at full resolution, average pooling, one linear layer."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        inputs = (1, *widths[:-1])
        blocks = [_block(i, o) for i, o in zip(inputs, widths, strict=True)]
        self.features = nn.Sequential(*blocks)
        # A fixed window stays an AveragePool, which has an integer kernel; adaptive pooling may
        # be exported as ReduceMean, which has none.
        self.pool = nn.AvgPool2d(IMAGE_SIDE)
        self.classifier = nn.Linear(widths[-1], DIGIT_COUNT)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map float32 [batch, 1, 8, 8] to logits, float32 [batch, 10]."""
        pooled: torch.Tensor = self.pool(self.features(image))
        logits: torch.Tensor = self.classifier(pooled.flatten(1))
        return logits


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
