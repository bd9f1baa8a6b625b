"""Runs ONNX models in ONNX Runtime and compares outputs: every transformation's proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesmith.errors import ModelError
from edgesmith.values import ParityCheck, SessionOptions, TensorInfo

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnxruntime

    Array = np.ndarray[Any, Any]

# Largest error of a float32 graph relative to the reference's largest magnitude. Reordered
# sums of deep networks stay below 1e-5 of it; a wrong constant or axis is far above.
FLOAT_TOLERANCE_REL = 1e-4
# A runtime may drop a rounding to half precision between two operators.
HALF_TOLERANCE_REL = 2e-3
IMAGE_RANK = 3
_FATAL_ONLY = 4
_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disable": "ORT_DISABLE_ALL",
}


def open_session(
    model: Path | bytes, options: SessionOptions | None = None, *, threads: int = 1
) -> onnxruntime.InferenceSession:
    """A CPU session of a file, or of a serialized model, with `threads` intra-op threads.

    Raises ModelError when the runtime can't load it.
    """
    import onnxruntime

    options = options or SessionOptions()
    native = onnxruntime.SessionOptions()
    native.intra_op_num_threads = threads
    native.inter_op_num_threads = 1
    native.log_severity_level = _FATAL_ONLY
    level = _LEVELS[options.graph_optimization_level]
    native.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    for key, value in options.config.items():
        native.add_session_config_entry(key, value)
    try:
        source = str(model) if isinstance(model, Path) else model
        return onnxruntime.InferenceSession(source, native, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} can't load the model: {_first_line(error)}",
            where=model.name if isinstance(model, Path) else "the model",
            hint="try another [model] opset or exporter; -v shows more",
        ) from error


def run_session(
    session: onnxruntime.InferenceSession,
    feeds: Mapping[str, Array],
    *,
    shown_as: str,
    names: Sequence[str] | None = None,
) -> dict[str, Array]:
    """The outputs by name, or those of `names`; raises ModelError with the runtime's reason."""
    names = list(names) if names else [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:
        shapes = {name: list(array.shape) for name, array in feeds.items()}
        raise ModelError(
            f"ONNX Runtime fails on inputs of shape {shapes}: {_first_line(error)}",
            where=shown_as,
            hint="check the shapes under [model.inputs], or try another exporter",
        ) from error


def outputs_of(
    model: Path, feeds: Iterable[Mapping[str, Array]], *, shown_as: str
) -> list[dict[str, Array]]:
    """The outputs for each of `feeds`, from one session that is closed again.

    Of two large models that are compared, only one is in memory at a time.
    """
    session = open_session(model)
    return [run_session(session, one, shown_as=shown_as) for one in feeds]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__


def compare(
    reference: Mapping[str, Array],
    found: Mapping[str, Array],
    *,
    against: str,
    inputs: str,
    sizes: Mapping[str, int],
    tolerance_rel: float = FLOAT_TOLERANCE_REL,
) -> ParityCheck:
    """Compares outputs by position; shapes, integers and the places of NaN must be equal."""
    worst_abs, worst_rel, same = 0.0, 0.0, len(reference) == len(found)
    for expected, actual in zip(reference.values(), found.values(), strict=False):
        absolute, relative, fits = _errors(expected, actual)
        worst_abs, worst_rel = max(worst_abs, absolute), max(worst_rel, relative)
        same = same and fits
    return ParityCheck(
        against=against,
        inputs=inputs,
        sizes=dict(sizes),
        max_abs_error=worst_abs,
        max_rel_error=worst_rel,
        tolerance_rel=tolerance_rel,
        passed=same and worst_rel <= tolerance_rel,
    )


def _errors(expected: Array, actual: Array) -> tuple[float, float, bool]:
    """(largest absolute error, the same over the largest magnitude, whether they compare)."""
    import numpy as np

    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return 0.0, 0.0, False
    if expected.dtype.kind != "f":
        return 0.0, 0.0, bool(np.array_equal(expected, actual))
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(actual)):
        return 0.0, 0.0, False
    if not finite.any():
        return 0.0, 0.0, True
    wanted, got = expected[finite].astype(np.float64), actual[finite].astype(np.float64)
    absolute = float(np.abs(wanted - got).max())
    magnitude = max(float(np.abs(wanted).max()), 1e-6)
    return absolute, absolute / magnitude, True


def tolerance_of(model: onnx.ModelProto) -> float:
    """What a model's outputs may differ by: more where it computes in half precision."""
    from onnx import TensorProto

    halves = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    graph = model.graph
    used = {tensor.data_type for tensor in graph.initializer}
    used |= {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    return HALF_TOLERANCE_REL if used.intersection(halves) else FLOAT_TOLERANCE_REL


def random_feeds(
    inputs: tuple[TensorInfo, ...], sizes: Mapping[str, int], *, seed: int
) -> dict[str, Array]:
    """Standard normal arrays, or integers; unnamed dims are 1.

    Integers are 0 or 1, since they may be indices; those of images (a byte, three dimensions or
    more) take their whole range.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for one in inputs:
        shape = [sizes.get(d, 1) if isinstance(d, str) else d for d in one.dims]
        dtype = np.dtype(one.dtype)
        if dtype.kind == "f":
            feeds[one.name] = generator.standard_normal(shape).astype(dtype)
        elif dtype.itemsize == 1 and dtype.kind != "b" and len(shape) >= IMAGE_RANK:
            limits = np.iinfo(dtype)
            feeds[one.name] = generator.integers(
                limits.min, limits.max, shape, dtype, endpoint=True
            )
        else:
            feeds[one.name] = generator.integers(0, 2, shape).astype(dtype)
    return feeds


def worst(checks: tuple[ParityCheck, ...]) -> ParityCheck:
    """The check with the largest relative error, a failed one before all others."""
    return max(checks, key=lambda c: (not c.passed, c.max_rel_error))
