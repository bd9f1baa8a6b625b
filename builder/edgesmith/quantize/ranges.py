"""The ranges of a model's tensors over the calibration data: found once, used by every target."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.data.samples import INPUTS, Samples
from edgesmith.errors import ModelError
from edgesmith.events import EventStream, Progress
from edgesmith.hashing import sha256_file
from edgesmith.model import onnx_file
from edgesmith.model.user_code import own_interpreter
from edgesmith.project.project import Project
from edgesmith.stages import Context, Made, Stage, StageResult
from edgesmith.values import SampleSet, SimplifiedModel

if TYPE_CHECKING:
    import onnx

RANGES_FILE = "ranges.json"
PREPARED_FILE = "prepared.onnx"
_QUANTIZED_OPERATORS = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul",
    "ConvInteger", "MatMulInteger",
})  # fmt: skip
# The mark by which onnxruntime.quantization knows that shape inference was done before it.
_PREPROCESSED = ("onnx.quant.pre_process", "onnxruntime.quant")


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """The lowest and highest value of every float tensor, as one calibration method sees them.

    `prepared` is the model that they belong to: the simplified one with its shapes inferred.
    """

    method: str
    path: str
    sha256: str
    prepared: str
    samples: int


def ranges_stage(
    project: Project,
    method: str,
    simplified: StageResult[SimplifiedModel],
    calibration: StageResult[SampleSet],
    context: Context,
) -> Stage[Ranges]:
    """The stage that makes `build/<model>/ranges/<method>`; no target decides anything in it."""
    model = simplified.folder / simplified.value.onnx.path
    samples = calibration.folder / calibration.value.path

    def make(folder: Path) -> Made[Ranges]:
        prepare(model, folder / PREPARED_FILE)
        find_ranges(folder / PREPARED_FILE, samples, method, folder / RANGES_FILE, context.events)
        value = Ranges(
            method=method,
            path=RANGES_FILE,
            sha256=sha256_file(folder / RANGES_FILE),
            prepared=PREPARED_FILE,
            samples=calibration.value.count,
        )
        return Made(value=value)

    return Stage(
        name=f"ranges-{method}",
        folder=project.stage_folder("ranges") / method,
        base=project.folder,
        key_parts={
            "method": method,
            "model": simplified.value.onnx.sha256,
            "calibration": calibration.value.sha256,
            "tools": dict(own_interpreter().versions),
        },
        value_type=Ranges,
        make=make,
        state=project.state_folder,
    )


def prepare(source: Path, path: Path) -> None:
    """Infers shapes and marks the model as prepared; raises ModelError for a quantized one."""
    import onnx

    model = onnx_file.load(source)
    refuse_quantized(model)
    prepared = onnx.shape_inference.infer_shapes(model)
    entry = prepared.metadata_props.add()
    entry.key, entry.value = _PREPROCESSED
    onnx_file.save(prepared, path)


def find_ranges(
    prepared: Path, samples: Path, method: str, output: Path, events: EventStream
) -> None:
    """Runs all samples through the model and writes the ranges; raises ModelError.

    `method` is minmax, percentile or entropy.
    """
    from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data

    augmented = output.with_suffix(".augmented.onnx")
    with library_at_work(method, events):
        try:
            calibrator = create_calibrator(
                prepared,
                operators_to_quantize(),
                augmented_model_path=str(augmented),
                calibrate_method=calibration_method(method),
            )
            calibrator.collect_data(_reader(samples, method, events))
            save_tensors_data(calibrator.compute_data(), output)
        finally:
            augmented.unlink(missing_ok=True)


def operators_to_quantize() -> list[str]:
    """The operator types that onnxruntime.quantization knows, in a fixed order."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return sorted({*QLinearOpsRegistry, *QDQRegistry})


def refuse_quantized(model: onnx.ModelProto) -> None:
    """Raises ModelError for a model that holds quantized operators."""
    found = sorted({n.op_type for n in model.graph.node if n.op_type in _QUANTIZED_OPERATORS})
    if found:
        raise ModelError(
            f"the model is quantized already: it has {', '.join(found)}",
            where="model.source",
            hint='give the float model, or take this one as it is: [quantize] precision = "fp32"',
        )


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


def calibration_method(name: str) -> Any:
    """The library's constant."""
    from onnxruntime.quantization import CalibrationMethod

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "percentile": CalibrationMethod.Percentile,
        "entropy": CalibrationMethod.Entropy,
    }
    return methods[name]


def _reader(samples: Path, method: str, events: EventStream) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands one sample after the other to the calibrator."""

        def __init__(self) -> None:
            self._samples = Samples(samples)
            self._next = 0

        def get_next(self) -> dict[str, Any] | None:
            if self._next == self._samples.count:
                return None
            feeds = self._samples.group(INPUTS, self._next)
            self._next += 1
            stage = f"ranges-{method}"
            total = self._samples.count
            events.emit(Progress(stage=stage, done=self._next, total=total, unit="samples"))
            return feeds

        def __len__(self) -> int:
            return self._samples.count

    return Reader()
