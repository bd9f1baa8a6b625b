"""The weights of the user's PyTorch model: what identifies them, and whether they are numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

# Above this size protobuf can't hold a model in one file.
MAX_PROTOBUF_BYTES = 2**31 - 1


def weights_digest(module: Any) -> str:
    """SHA-256 over all parameters and buffers: two calls of the source must give the same."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            plain = value.int_repr() if value.is_quantized else value
            data = plain.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(data.numpy().tobytes())
    return digest.hexdigest()


def weights_bytes(module: Any) -> int:
    """Bytes of all parameters and buffers; what has two names counts once."""
    import torch

    tensors = [one for one in module.state_dict().values() if isinstance(one, torch.Tensor)]
    sizes = {
        (one.data_ptr(), tuple(one.shape), one.dtype): one.numel() * one.element_size()
        for one in tensors
    }
    return sum(sizes.values())


def weights_with_nan(module: Any) -> list[str]:
    """Names of parameters and buffers that hold NaN."""
    import torch

    state: Mapping[str, Any] = module.state_dict()
    return [
        name
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and bool(torch.isnan(value).any())
    ]
