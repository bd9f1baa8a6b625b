"""Inputs and outputs of every type and form."""

from __future__ import annotations

import torch
from torch import nn


class Integers(nn.Module):
    """Integers of three widths."""

    def forward(
        self, bytes: torch.Tensor, counts: torch.Tensor, ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return bytes.to(torch.int32) * counts, (ids + counts.sum()).clamp(max=100)


def integers() -> nn.Module:
    return Integers()


class Booleans(nn.Module):
    """Masks in and out."""

    def forward(
        self, x: torch.Tensor, keep: torch.Tensor, flag: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.where(keep & flag, x, -x), (x > 0) ^ keep


def booleans() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    return Booleans(), (torch.randn(2, 4), torch.randn(2, 4) > 0, torch.tensor(True))


class Scaled(nn.Module):
    """A layer whose output a scalar scales."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * scale


def scalar() -> nn.Module:
    torch.manual_seed(0)
    return Scaled()


class Many(nn.Module):
    """One head for each output."""

    def __init__(self, count: int = 20) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(8, 1 + n % 4) for n in range(count)])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [head(x) for head in self.heads]


def twenty_outputs() -> nn.Module:
    torch.manual_seed(0)
    return Many()


def list_output() -> nn.Module:
    torch.manual_seed(0)
    return Many(3)


class Named(nn.Module):
    """Outputs by name, one of them nested."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, 2, 1)
        self.score = nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> dict[str, object]:
        found = self.body(image).relu()
        pooled = found.mean((2, 3))
        return {"features": found, "pooled": [pooled, self.score(pooled)]}


def dict_output() -> nn.Module:
    torch.manual_seed(0)
    return Named()


class Pairs(nn.Module):
    """A dict of a tensor and a pair of them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, batch: dict[str, object]) -> torch.Tensor:
        held, (low, high) = batch["held"], batch["bounds"]
        return self.layer(held) * high + low


def nested_inputs() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    example = {"held": torch.randn(3, 4), "bounds": (torch.randn(4) - 1, torch.randn(4) + 1)}
    rows = torch.export.Dim("rows", min=1, max=32)
    shapes = {"batch": {"held": {0: rows}, "bounds": (None, None)}}
    return torch.export.export(Pairs(), (example,), dynamic_shapes=shapes)


class Halves(nn.Module):
    """float16 in and out, float64 beside it."""

    def forward(self, half: torch.Tensor, double: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return half * 2 + 1, (double * 3).sin()


def float_types() -> nn.Module:
    return Halves()


class Residual(nn.Module):
    """A small network that is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.body = nn.Sequential(
            nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16),
        )  # fmt: skip
        self.head = nn.Linear(16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image).relu()
        return self.head((x + self.body(x)).relu().mean((2, 3)))


def traced_residual() -> torch.jit.ScriptModule:
    torch.manual_seed(0)
    return torch.jit.trace(Residual().eval(), torch.randn(2, 3, 32, 32))


class Places(nn.Module):
    """An output whose size depends on the values: no row of the table, INT8 can't be judged."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > 0).nonzero()


def places() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return Places(), torch.randn(30, 40)
