"""MobileNetV3-Small with random weights, and smaller networks of its blocks."""

from __future__ import annotations

import torch
from torch import nn

# Kernel, expanded channels, channels, squeeze-and-excite, hard swish, and stride of each block
# (Howard et al., 2019, table 2).
SMALL = (
    (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1),
)  # fmt: skip


def _conv(
    channels: int, out: int, size: int, stride: int, groups: int, activation: type[nn.Module] | None
) -> list[nn.Module]:
    found: list[nn.Module] = [
        nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return found if activation is None else [*found, activation()]


class SqueezeExcite(nn.Module):
    """Each channel times a factor that all channels' averages decide."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(8, channels // 4 // 8 * 8)
        self.factors = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, narrow, 1), nn.ReLU(),
            nn.Conv2d(narrow, channels, 1), nn.Hardsigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factors(x)


class Block(nn.Module):
    """A wide depthwise convolution between two narrow ends, with a shortcut where they fit."""

    def __init__(
        self, channels: int, size: int, wide: int, out: int, squeeze: bool, hard: bool, stride: int
    ) -> None:
        super().__init__()
        activation = nn.Hardswish if hard else nn.ReLU
        self.is_residual = stride == 1 and channels == out
        self.body = nn.Sequential(
            *(_conv(channels, wide, 1, 1, 1, activation) if wide != channels else []),
            *_conv(wide, wide, size, stride, wide, activation),
            *([SqueezeExcite(wide)] if squeeze else []),
            *_conv(wide, out, 1, 1, 1, None),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.is_residual else self.body(x)


def network(
    blocks: tuple[tuple[int, int, int, bool, bool, int], ...],
    *,
    colours: int,
    wide: int,
    features: int,
    classes: int,
) -> nn.Module:
    """A network of `blocks`, its first convolution and its head."""
    layers, channels = _conv(colours, 16, 3, 2, 1, nn.Hardswish), 16
    for size, expanded, out, squeeze, hard, stride in blocks:
        layers.append(Block(channels, size, expanded, out, squeeze, hard, stride))
        channels = out
    layers += [*_conv(channels, wide, 1, 1, 1, nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [nn.Linear(wide, features), nn.Hardswish(), nn.Linear(features, classes)]
    return nn.Sequential(*layers)


def build() -> nn.Module:
    """The network for 1000 classes."""
    torch.manual_seed(0)
    return network(SMALL, colours=3, wide=576, features=1024, classes=1000)
