"""The variants of a target: what each is called, and how the device runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.model import onnx_file
from edgesmith.project.project import Target
from edgesmith.values import MetricValue, SessionOptions, Variant

if TYPE_CHECKING:
    import onnx

HALF = "fp16"
DYNAMIC = "int8-dynamic"
# ONNX Runtime would quantize, at load, float weights that [quantize] exclude keeps in float.
_DISABLED = "optimization.disable_specified_optimizers"
NO_SILENT_QUANTIZATION = {_DISABLED: "WeightBiasQuantization"}
# On ARM cores with FP16 arithmetic it would lay AveragePool out with channels last, for which it
# has no kernel since opset 19: a model with both does not load.
_NO_CHANNELS_LAST = {_DISABLED: "WeightBiasQuantization;NhwcTransformer"}
# Equal outputs up to rounding are above 100 dB; other kernels of another CPU or GPU give at least
# this much of a right model, and far less of a wrong one.
SELF_TEST_MIN_SQNR_DB = {"fp32": 60.0, HALF: 30.0, "int8": 15.0, DYNAMIC: 15.0}
_PRECISIONS = {"fp32": "fp32", HALF: "fp16", "int8": "int8", DYNAMIC: "int8"}


def has_half(target: Target) -> bool:
    """Whether it gets an FP16 variant: where asked for, and beside INT8 on a GPU."""
    precision = target.quantize.precision
    return precision == "fp16" or (precision == "int8" and "cuda" in target.platform.providers)


def _config(name: str, model: onnx.ModelProto) -> dict[str, str]:
    pools = any(node.op_type == "AveragePool" for node in onnx_file.every_node(model))
    return _NO_CHANNELS_LAST if name == HALF and pools else NO_SILENT_QUANTIZATION


def variant_of(
    folder: Path,
    name: str,
    metrics: tuple[MetricValue, ...],
    *,
    target: Target,
    encoding: str,
    count: int | None,
) -> Variant:
    """The variant in `folder/NAME.onnx`; `encoding` is that of static INT8, `count` the
    multiplications for each sample."""
    path = folder / f"{name}.onnx"
    model = onnx_file.load(path, data=False)
    precision = _PRECISIONS[name]
    provider = target.provider_of(precision)
    return Variant(
        name=name,
        onnx=onnx_file.describe(model, path),
        precision=precision,
        encoding={"int8": encoding, DYNAMIC: "dynamic"}.get(name, "float"),
        provider=provider.name,
        session_options=SessionOptions(
            graph_optimization_level=provider.graph_optimization_level,
            config=_config(name, model),
        ),
        threads=target.bench.threads[0],
        self_test_min_sqnr_db=SELF_TEST_MIN_SQNR_DB[name],
        metrics=metrics,
        multiply_adds_per_sample=count,
    )


def target_key(target: Target) -> dict[str, Any]:
    """What of its platform and providers decides a model."""
    return {
        "providers": {
            name: [one.graph_optimization_level, bool(one.plugin)]
            for name, one in target.providers.items()
        },
        "provider": target.provider,
        "platform": [
            target.platform.name,
            target.platform.max_opset,
            target.platform.max_ir_version,
        ],
    }
