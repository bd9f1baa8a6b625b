"""Recurrent networks over sequences of any length."""

from __future__ import annotations

import torch
from torch import nn


class WordModel(nn.Module):
    """A word language model: LSTM, its output layer tied to its word vectors."""

    def __init__(self, words: int = 500, width: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Embedding(words, width)
        self.rnn = nn.LSTM(width, width, 2)
        self.decoder = nn.Linear(width, words)
        self.decoder.weight = self.encoder.weight

    def forward(
        self, words: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        hidden, state = self.rnn(self.encoder(words), state)
        return torch.log_softmax(self.decoder(hidden), -1), state


def word_language_model() -> tuple[nn.Module, tuple[object, ...]]:
    torch.manual_seed(0)
    state = (torch.randn(2, 2, 64), torch.randn(2, 2, 64))
    return WordModel(), (torch.randint(0, 500, (5, 2)), state)


class Tagger(nn.Module):
    """A recurrent layer and a linear one."""

    def __init__(self, rnn: nn.RNNBase, width: int) -> None:
        super().__init__()
        self.rnn = rnn
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0])


def gru() -> nn.Module:
    torch.manual_seed(0)
    return Tagger(nn.GRU(16, 32, batch_first=True), 32)


def bilstm() -> nn.Module:
    torch.manual_seed(0)
    return Tagger(nn.LSTM(16, 16, num_layers=4, bidirectional=True), 32)


def rnn_tanh() -> torch.jit.ScriptModule:
    torch.manual_seed(0)
    return torch.jit.trace(Tagger(nn.RNN(8, 16), 16), torch.randn(5, 2, 8))


class CellLoop(nn.Module):
    """A recurrent cell in a loop over the sequence, which only a script keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.take = nn.Linear(8, 16)
        self.hold = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.zeros(x.size(1), 16)
        for step in range(x.size(0)):
            hidden = torch.tanh(self.take(x[step]) + self.hold(hidden))
        return hidden


def cell_loop() -> torch.jit.ScriptModule:
    torch.manual_seed(0)
    return torch.jit.script(CellLoop())
