"""A detector of YOLOv8n's shape with random weights: SiLU, splits, concatenations, three scales."""

from __future__ import annotations

import torch
from torch import nn

CHANNELS = (16, 32, 64, 128, 256)
REPEATS = (1, 2, 2, 1)
BOX, CLASSES = 64, 80


class Conv(nn.Sequential):
    """Convolution, normalization and SiLU."""

    def __init__(self, channels: int, out: int, size: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, out, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(out),
            nn.SiLU(),
        )


class Bottleneck(nn.Module):
    """Two convolutions, with a shortcut if asked for."""

    def __init__(self, channels: int, is_residual: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(channels, channels, 3), Conv(channels, channels, 3))
        self.is_residual = is_residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.is_residual else self.body(x)


class Split(nn.Module):
    """Half of the channels go through bottlenecks, and all that came of them is joined."""

    def __init__(self, channels: int, out: int, repeats: int, is_residual: bool = False) -> None:
        super().__init__()
        self.first = Conv(channels, out)
        self.body = nn.ModuleList([Bottleneck(out // 2, is_residual) for _ in range(repeats)])
        self.last = Conv((2 + repeats) * out // 2, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = list(self.first(x).chunk(2, 1))
        for one in self.body:
            parts.append(one(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pooling(nn.Module):
    """Maxima over ever larger squares, joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.last = Conv(2 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Head(nn.Module):
    """Boxes and classes of one scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.boxes, self.classes = (
            nn.Sequential(Conv(channels, w, 3), Conv(w, w, 3), nn.Conv2d(w, out, 1))
            for w, out in ((64, BOX), (80, CLASSES))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.boxes(x), self.classes(x)], 1).flatten(2)


class Detector(nn.Module):
    """What the three scales tell, side by side: [batch, 144, places]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, CHANNELS[0], 3, 2)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(Conv(a, b, 3, 2), Split(b, b, n, True))
                for a, b, n in zip(CHANNELS, CHANNELS[1:], REPEATS, strict=False)
            ]
        )
        self.pooling = Pooling(256)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.middle, self.fine = Split(256 + 128, 128, 1), Split(128 + 64, 64, 1)
        self.down1, self.middle2 = Conv(64, 64, 3, 2), Split(64 + 128, 128, 1)
        self.down2, self.coarse = Conv(128, 128, 3, 2), Split(128 + 256, 256, 1)
        self.heads = nn.ModuleList([Head(n) for n in (64, 128, 256)])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = [self.stem(image)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        low, mid, top = found[2], found[3], self.pooling(found[4])
        middle = self.middle(torch.cat([self.up(top), mid], 1))
        fine = self.fine(torch.cat([self.up(middle), low], 1))
        middle = self.middle2(torch.cat([self.down1(fine), middle], 1))
        coarse = self.coarse(torch.cat([self.down2(middle), top], 1))
        scales = zip(self.heads, (fine, middle, coarse), strict=True)
        return torch.cat([head(x) for head, x in scales], 2)


def build() -> nn.Module:
    """The network for 80 classes."""
    torch.manual_seed(0)
    return Detector()
