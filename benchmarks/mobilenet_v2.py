"""MobileNetV2 with random weights, as a project's model.py."""

from __future__ import annotations

import torch
from torch import nn

# Expansion, channels, repetitions and stride of each stage (Sandler et al., 2018, table 2).
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip


def _conv(channels: int, out: int, size: int, stride: int, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(),
    ]


class Inverted(nn.Module):
    """A wide depthwise convolution between two narrow ends, with a shortcut where they fit."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.is_residual = stride == 1 and channels == out
        self.body = nn.Sequential(
            *(_conv(channels, wide, 1, 1) if expansion > 1 else []),
            *_conv(wide, wide, 3, stride, wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.is_residual else self.body(x)


def build() -> nn.Module:
    """The network for 1000 classes."""
    torch.manual_seed(0)
    layers, channels = _conv(3, 32, 3, 2), 32
    for expansion, out, count, stride in STAGES:
        for number in range(count):
            layers.append(Inverted(channels, out, stride if number == 0 else 1, expansion))
            channels = out
    layers += _conv(channels, 1280, 1, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))
