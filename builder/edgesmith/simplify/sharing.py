"""Keeps one of several equal weights."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edgesmith.simplify.graph import Editing

if TYPE_CHECKING:
    import onnx


def share_initializers(model: onnx.ModelProto) -> bool:
    """Weights of equal type, shape and bytes become the first of them."""
    from onnx import numpy_helper

    graph = Editing(model)
    kept: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    for tensor in graph.graph.initializer:
        fixed = tensor.name not in graph.outputs and tensor.name not in graph.inputs
        if not fixed or tensor.external_data or tensor.data_type == tensor.STRING:
            continue
        data = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
        key = (tensor.data_type, tuple(tensor.dims), hashlib.sha256(data).digest())
        first = kept.setdefault(key, tensor.name)
        if first != tensor.name:
            graph.replace(tensor.name, first)
    return graph.close()
