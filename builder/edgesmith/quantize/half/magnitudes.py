"""How large the values of every float tensor get, and where they are no numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesmith.data.samples import calibration_samples
from edgesmith.events import EventStream, Progress
from edgesmith.model import numeric

if TYPE_CHECKING:
    import onnx

    Array = np.ndarray[Any, Any]

_ZERO = "edgesmith/half/zero"
_TOLD = ("lowest", "highest", "strays")


@dataclass(frozen=True, kw_only=True)
class Magnitudes:
    """Over all samples, of the finite values of `tensors`: `lowest` and `highest`, float64
    [tensors], infinite where there is none. `strays`, float32 [samples, tensors], is the number
    of those that are infinite or NaN."""

    tensors: tuple[str, ...]
    lowest: Array
    highest: Array
    strays: Array


def observe_magnitudes(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    samples: Path,
    *,
    events: EventStream,
    threads: int = 0,
) -> Magnitudes:
    """Runs the samples; the numbers are found where the tensors are, three leave the session."""
    source = calibration_samples(samples)
    session = numeric.open_session(_watched(model, tensors), threads=threads)
    taken = {one.name for one in session.get_inputs()}
    names = [_name(index, what) for index in range(len(tensors)) for what in _TOLD]
    rows = np.empty((source.count, len(tensors), len(_TOLD)), np.float32)
    for number, sample in enumerate(source.feeds()):
        feeds = {name: array for name, array in sample.items() if name in taken}
        told = numeric.run_session(
            session, feeds, shown_as=f"calibration sample {number}", names=names
        ) if names else {}  # fmt: skip
        rows[number] = np.array(list(told.values()), np.float32).reshape(rows.shape[1:])
        events.emit(Progress(stage="half", done=number + 1, total=source.count, unit="samples"))
    return Magnitudes(
        tensors=tuple(tensors),
        lowest=rows[:, :, 0].min(axis=0).astype(np.float64),
        highest=rows[:, :, 1].max(axis=0).astype(np.float64),
        strays=rows[:, :, 2],
    )


def _name(index: int, what: str) -> str:
    return f"edgesmith/half/{index}/{what}"


def _watched(model: onnx.ModelProto, tensors: Sequence[str]) -> bytes:
    import onnx
    from onnx import numpy_helper

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), _ZERO))
    for index, name in enumerate(tensors):
        _watch_one(watched.graph, index, name)
    return bytes(watched.SerializeToString(deterministic=True))


def _watch_one(graph: Any, index: int, name: str) -> None:
    from onnx import TensorProto, helper

    def add(operator: str, inputs: list[str], what: str, **attributes: Any) -> str:
        output = _name(index, what)
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    # Nothing else than a number gives zero here.
    stray = add("IsNaN", [add("Mul", [name, _ZERO], "nothing")], "stray")
    finite = add("Where", [stray, _ZERO, name], "finite")
    add("ReduceMin", [finite], "lowest", keepdims=0)
    add("ReduceMax", [finite], "highest", keepdims=0)
    counted = add("Cast", [stray], "counted", to=TensorProto.FLOAT)
    add("ReduceSum", [counted], "strays", keepdims=0)
    for what in _TOLD:
        graph.output.append(helper.make_tensor_value_info(_name(index, what), 1, []))
