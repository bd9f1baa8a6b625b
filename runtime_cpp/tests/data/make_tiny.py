"""Makes the models tiny, tiny_broken and relu and their samples, which the C++ tests run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent
# Names that break whoever pastes them somewhere.
INPUT = 'x"; system("id"); //'
OUTPUT = "y/out\n"
SAMPLES = 16


def save_model(name: str, scale: float) -> bytes:
    """A linear layer of 4 inputs and 7 classes with a dynamic batch."""
    rng = np.random.default_rng(7)
    weight = (rng.standard_normal((4, 7)) * scale).astype(np.float32)
    bias = rng.standard_normal(7).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", [INPUT, "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    (FOLDER / name).write_bytes(data := model.SerializeToString(deterministic=True))
    return data


def save_relu() -> None:
    """A model that the provider of the tests can compute as a whole."""
    one = numpy_helper.from_array(np.float32([[0.5, -0.25, 1.0, 0.0]]), "c")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "c"], ["s"]), helper.make_node("Relu", ["s"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [one],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    (FOLDER / "relu.onnx").write_bytes(model.SerializeToString(deterministic=True))
    inputs = np.random.default_rng(9).standard_normal((4, 1, 4)).astype(np.float32)
    outputs = np.maximum(inputs + numpy_helper.to_array(one), 0)
    save_file(
        {"inputs/x": inputs, "outputs/y": outputs},
        FOLDER / "relu.safetensors",
        {"format": "edgesmith-samples", "schema_version": "1.0", "count": "4"},
    )


def main() -> None:
    """Writes the files beside this script."""
    model = save_model("tiny.onnx", 1.0)
    save_model("tiny_broken.onnx", -1.0)
    inputs = np.random.default_rng(8).standard_normal((SAMPLES, 1, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = np.stack([session.run(None, {INPUT: one})[0] for one in inputs])
    labels = outputs.argmax(axis=-1).reshape(-1).astype(np.int64)
    labels[0] = (labels[0] + 1) % 7
    save_file(
        {f"inputs/{INPUT}": inputs, f"outputs/{OUTPUT}": outputs, "labels": labels},
        FOLDER / "tiny.safetensors",
        {"format": "edgesmith-samples", "schema_version": "1.0", "count": str(SAMPLES)},
    )
    save_relu()


if __name__ == "__main__":
    main()
