"""onnxruntime.quantization, the base of quantization here: its talk and its errors made ours."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

from edgesmith.errors import ModelError
from edgesmith.events import EventStream
from edgesmith.model import onnx_file
from edgesmith.quantize.integer_forms import FORMED
from edgesmith.simplify.graph import sort_nodes, subgraphs

# ONNX Runtime's cpu provider computes these in float, whatever stands around them.
_FLOAT_ONLY = frozenset({
    "BatchNormalization", "ConvTranspose", "CumSum", "EmbedLayerNormalization",
    "InstanceNormalization", "LayerNormalization",
})  # fmt: skip


def operators_to_quantize() -> list[str]:
    """The operator types that can be computed in integers, in a fixed order: those that
    onnxruntime.quantization knows and ONNX Runtime has kernels for, and those formed of them."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return sorted({*QLinearOpsRegistry, *QDQRegistry, *FORMED} - _FLOAT_ONLY)


@contextlib.contextmanager
def library_at_work(method: str, events: EventStream) -> Iterator[None]:
    """Around calls of onnxruntime.quantization: its talk is debug talk, its errors ModelErrors."""
    try:
        with _quiet(events):
            yield
    except Exception as error:
        # Its parts raise whatever they meet, without a common class.
        raise ModelError(
            f"quantization with {method} calibration failed: {error}",
            where="quantize.calibration",
            hint="try another [quantize] calibration, or exclude the operator named above",
        ) from error


@contextlib.contextmanager
def _quiet(events: EventStream) -> Iterator[None]:
    """onnxruntime.quantization prints to stdout and logs to the root logger: debug talk of ours."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        root.setLevel(before)
        for line in printed.getvalue().splitlines():
            events.debug(line)


def mend_order(path: Path) -> None:
    """The quantizer sorts nodes without looking at what bodies of If and Loop read from outside."""
    import onnx

    model = onnx.load(path)
    if any(True for node in model.graph.node for _ in subgraphs(node)):
        sort_nodes(model.graph)
        onnx_file.save(model, path)
