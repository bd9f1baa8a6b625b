"""Loops, branches and other things that exporters break."""

from __future__ import annotations

import torch
from torch import nn


@torch.jit.script
def repeated(x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    for i in range(int(count)):
        x = x / 2 + i
    return x


class CountedLoop(nn.Module):
    """A scripted loop whose trip count is an input."""

    def forward(self, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        return repeated(x, count)


def counted_loop() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return CountedLoop(), (torch.randn(2, 3), torch.tensor(5))


class WhileLoop(nn.Module):
    """`torch.while_loop`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from torch._higher_order_ops import while_loop

        def more(step: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return step < 5

        def body(step: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return step + 1, x * 0.5 + 1

        return while_loop(more, body, (torch.tensor(0), x))[1]


def while_loop() -> tuple[nn.Module, torch.Tensor]:
    return WhileLoop(), torch.randn(2, 3)


class Cond(nn.Module):
    """`torch.cond`, with a layer in each branch."""

    def __init__(self) -> None:
        super().__init__()
        self.yes = nn.Linear(4, 4)
        self.no = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def yes(x: torch.Tensor) -> torch.Tensor:
            return self.yes(x).relu()

        def no(x: torch.Tensor) -> torch.Tensor:
            return self.no(x) - 1

        return torch.cond(x.sum() > 0, yes, no, (x,))


def cond() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return Cond(), torch.randn(3, 4)


class IndexedAssignment(nn.Module):
    """Rows of a copy are replaced where a tensor says."""

    def forward(self, data: torch.Tensor, rows: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        data = data.clone()
        data[rows] = new
        return data


def indexed_assignment() -> nn.Module:
    return IndexedAssignment()


class Branch(nn.Module):
    """A scripted branch on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        if bool(y.sum() > 0):
            return y * 2
        return y - 1


def scripted_branch() -> torch.jit.ScriptModule:
    torch.manual_seed(0)
    return torch.jit.script(Branch())


class Bag(nn.Module):
    """Sums of word vectors, with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(50, 8, mode="sum")
        self.head = nn.Linear(8, 3)

    def forward(self, words: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return self.head(self.bag(words, per_sample_weights=weights))


def embedding_bag() -> nn.Module:
    torch.manual_seed(0)
    return Bag()


class TopK(nn.Module):
    """The largest values, sorted, gathered and counted."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, places = torch.topk(x, 3)
        return values.cumsum(-1), places.flip(-1)


def top_k() -> nn.Module:
    return TopK()
