"""Small models, and what the observe and quantize stages make of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from edgesmith.events import EventStream
from edgesmith.model import numeric
from edgesmith.quantize.calibrate.observation import observe
from edgesmith.quantize.encoding import Encoding
from edgesmith.quantize.prepare import prepare
from edgesmith.quantize.quantizer import Quantizer
from edgesmith.quantize.variants import NO_SILENT_QUANTIZATION
from edgesmith.values import SessionOptions

Array = np.ndarray[Any, Any]
U8S8 = Encoding(
    name="u8s8-pairs", activation_signed=False, weight_signed=True, pairs=True,
    exact_here=True,
)  # fmt: skip
GUARDED = SessionOptions(config=NO_SILENT_QUANTIZATION)
AS_WRITTEN = SessionOptions(graph_optimization_level="disable", config=NO_SILENT_QUANTIZATION)


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model_of(
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, Array],
    *,
    inputs: Mapping[str, tuple[int, list[Any]]],
    outputs: Mapping[str, list[Any]],
    opset: int = 20,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def three_convs(*, opset: int = 20) -> onnx.ModelProto:
    """Conv and Relu, thrice: [batch, 8, 12, 12] each."""
    nodes, weights = [], {}
    for index in range(3):
        weights[f"w{index}"] = drawn(8, 8, 3, 3, seed=index) / 8
        weights[f"b{index}"] = drawn(8, seed=10 + index)
        nodes += [
            helper.make_node(
                "Conv", [f"x{index}", f"w{index}", f"b{index}"], [f"c{index}"],
                name=f"conv{index}", pads=[1, 1, 1, 1],
            ),
            helper.make_node("Relu", [f"c{index}"], [f"x{index + 1}"], name=f"relu{index}"),
        ]  # fmt: skip
    return model_of(
        nodes, weights, inputs={"x0": (TensorProto.FLOAT, ["batch", 8, 12, 12])},
        outputs={"x3": ["batch", 8, 12, 12]}, opset=opset,
    )  # fmt: skip


def int8_of(
    folder: Path,
    model: onnx.ModelProto,
    samples: Mapping[str, Array],
    *,
    exclude: tuple[str, ...] = (),
    method: str = "minmax",
    threads: int | None = None,
    encoding: Encoding = U8S8,
    events: EventStream | None = None,
) -> Path:
    """What the observe and quantize stages make of the model with these samples."""
    made = quantizer_of(
        folder, model, samples, exclude=exclude, threads=threads, encoding=encoding, events=events
    ).quantize(method)
    return made.path.rename(folder / "int8.onnx")


def files_of(folder: Path, model: onnx.ModelProto, samples: Mapping[str, Array]) -> Path:
    """The samples' file, beside the prepared model."""
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "source.onnx")
    prepare(folder / "source.onnx", folder / "prepared.onnx")
    count = len(next(iter(samples.values())))
    metadata = {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(count)}
    stacked = {f"inputs/{name}": array for name, array in samples.items()}
    save_file(stacked, folder / "samples.safetensors", metadata)
    return folder / "samples.safetensors"


def quantizer_of(
    folder: Path,
    model: onnx.ModelProto,
    samples: Mapping[str, Array],
    *,
    exclude: tuple[str, ...] = (),
    threads: int | None = None,
    encoding: Encoding = U8S8,
    events: EventStream | None = None,
) -> Quantizer:
    """What quantizes the model with these samples."""
    stored = files_of(folder, model, samples)
    found = observe(folder / "prepared.onnx", stored, events=EventStream(), threads=threads)
    return Quantizer(
        prepared=folder / "prepared.onnx",
        found=found,
        samples=folder / "samples.safetensors",
        encoding=encoding,
        exclude=exclude,
        sizes={},
        folder=folder,
        events=events or EventStream(),
        threads=threads or 0,
    )


def sqnr_db(folder: Path, feeds: Mapping[str, Array], options: SessionOptions = GUARDED) -> float:
    """Of int8.onnx in the folder against its source."""
    (wanted,) = numeric.open_session(folder / "source.onnx").run(None, dict(feeds))
    (found,) = numeric.open_session(folder / "int8.onnx", options).run(None, dict(feeds))
    assert np.isfinite(found).all()
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    noise = max(float(((wanted - found) ** 2).sum()), 1e-30)
    return float(10 * np.log10(float((wanted**2).sum()) / noise))


IMAGES = drawn(20, 1, 8, 12, 12, seed=5)
