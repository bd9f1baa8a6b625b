"""Static INT8 quantization to QDQ form, by onnxruntime.quantization."""

from __future__ import annotations

import contextlib
import fnmatch
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.data.samples import Samples
from edgesmith.errors import ModelError, UsageError
from edgesmith.events import EventStream, Progress
from edgesmith.model import onnx_file
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.input_head import feed_integers, head_nodes
from edgesmith.stages import scratch_folder

if TYPE_CHECKING:
    import onnx
    from onnxruntime.quantization import QuantType

_QUANTIZED_OPERATORS = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul",
    "ConvInteger", "MatMulInteger",
})  # fmt: skip
# The mark by which quantize_static knows that shape inference was done before it.
_PREPROCESSED = ("onnx.quant.pre_process", "onnxruntime.quant")


@dataclass(frozen=True, kw_only=True)
class QuantizationPlan:
    """What to quantize, from which samples, and how. `method`: minmax, percentile or entropy."""

    model: Path
    samples: Path
    method: str
    encoding: Encoding
    exclude: tuple[str, ...]


def quantize_static(plan: QuantizationPlan, output: Path, *, events: EventStream) -> None:
    """Writes the quantized model to `output`; raises ModelError or UsageError."""
    from onnxruntime import quantization

    model = onnx_file.load(plan.model)
    _refuse_quantized(model)
    head = [node.name for node in head_nodes(model)]
    excluded = [*_excluded_nodes(model, plan.exclude), *head]
    reader = _reader(plan, events)
    with scratch_folder(output.parent) as name, _talk_of_the_library(events):
        prepared = Path(name) / "prepared.onnx"
        _prepare(model, prepared)
        try:
            quantization.quantize_static(
                prepared,
                output,
                reader,
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=plan.encoding.reduce_range,
                activation_type=_type(plan.encoding.activation_signed),
                weight_type=_type(plan.encoding.weight_signed),
                nodes_to_exclude=excluded,
                calibrate_method=_method(plan.method),
            )
        except Exception as error:
            raise ModelError(
                f"quantization with {plan.method} calibration failed: {error}",
                where="quantize.calibration",
                hint="try another [quantize] calibration, or exclude the operator named above",
            ) from error
    quantized = onnx_file.load(output, shown_as="the quantized model")
    onnx_file.strip_traces(quantized)
    if feed_integers(quantized):
        events.debug("quantize: the fed integers are the first layer's quantized input")
    onnx_file.save(quantized, output)


def _refuse_quantized(model: onnx.ModelProto) -> None:
    found = sorted({n.op_type for n in model.graph.node if n.op_type in _QUANTIZED_OPERATORS})
    if found:
        raise ModelError(
            f"the model is quantized already: it has {', '.join(found)}",
            where="model.source",
            hint='give the float model, or take this one as it is: [quantize] precision = "fp32"',
        )


def _prepare(model: onnx.ModelProto, path: Path) -> None:
    """Infers shapes and marks the model as prepared."""
    import onnx

    prepared = onnx.shape_inference.infer_shapes(model)
    entry = prepared.metadata_props.add()
    entry.key, entry.value = _PREPROCESSED
    onnx_file.save(prepared, path)


@contextlib.contextmanager
def _talk_of_the_library(events: EventStream) -> Iterator[None]:
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


def _excluded_nodes(model: onnx.ModelProto, patterns: tuple[str, ...]) -> list[str]:
    """Names of the nodes that a pattern means; a pattern that means none is an error."""
    excluded: list[str] = []
    for index, pattern in enumerate(patterns):
        found = [
            node.name
            for node in model.graph.node
            if fnmatch.fnmatchcase(node.op_type, pattern) or fnmatch.fnmatchcase(node.name, pattern)
        ]
        if not found:
            kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
            raise UsageError(
                f"'{pattern}' matches no node name and no operator type of the model",
                where=f"quantize.exclude[{index}]",
                hint=f"operator types here: {kinds}; names: edgesmith inspect MODEL --graph",
            )
        excluded += found
    return excluded


def _type(signed: bool) -> QuantType:
    from onnxruntime.quantization import QuantType

    return QuantType.QInt8 if signed else QuantType.QUInt8


def _method(name: str) -> Any:
    from onnxruntime.quantization import CalibrationMethod

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "percentile": CalibrationMethod.Percentile,
        "entropy": CalibrationMethod.Entropy,
    }
    return methods[name]


def _reader(plan: QuantizationPlan, events: EventStream) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands one sample after the other to the calibrator."""

        def __init__(self) -> None:
            self._samples = Samples(plan.samples)
            self._next = 0

        def get_next(self) -> dict[str, Any] | None:
            if self._next == self._samples.count:
                return None
            feeds = self._samples.group("inputs/", self._next)
            self._next += 1
            stage = f"quantize ({plan.method})"
            total = self._samples.count
            events.emit(Progress(stage=stage, done=self._next, total=total, unit="samples"))
            return feeds

        def __len__(self) -> int:
            return self._samples.count

    return Reader()
