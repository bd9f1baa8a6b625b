"""Models that come as ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def _weights(generator: np.random.Generator, **shapes: tuple[int, ...]) -> list[TensorProto]:
    return [
        numpy_helper.from_array(
            (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), n
        )
        for n, shape in shapes.items()
    ]


def _value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _save(path: Path, graph: onnx.GraphProto, **more: object) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path, **more)


def detection_head(path: Path) -> None:
    """Boxes and scores by convolutions over features, and NonMaxSuppression of them."""
    weights = _weights(np.random.default_rng(0), boxes=(4, 16, 1, 1), scores=(3, 16, 1, 1))
    constants = {
        "by_box": np.array([1, -1, 4]), "by_class": np.array([1, 3, -1]),
        "most": np.array([5]), "overlap": np.array([0.5], np.float32),
        "least": np.array([0.3], np.float32), "halves": np.array([2, 2]),
        "half": np.array(0.5, np.float32),
    }  # fmt: skip
    weights += [numpy_helper.from_array(value, name) for name, value in constants.items()]
    nodes = [
        helper.make_node("Conv", ["features", "boxes"], ["raw_boxes"]),
        helper.make_node("Conv", ["features", "scores"], ["raw_scores"]),
        helper.make_node("Transpose", ["raw_boxes"], ["moved"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["moved", "by_box"], ["rows"]),
        helper.make_node("Sigmoid", ["rows"], ["inside"]),
        helper.make_node("Split", ["inside", "halves"], ["centre", "size"], axis=2),
        helper.make_node("Mul", ["size", "half"], ["reach"]),
        helper.make_node("Sub", ["centre", "reach"], ["low"]),
        helper.make_node("Add", ["centre", "reach"], ["high"]),
        helper.make_node("Concat", ["low", "high"], ["corners"], axis=2),
        helper.make_node("Reshape", ["raw_scores", "by_class"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["confidence"]),
        helper.make_node(
            "NonMaxSuppression", ["corners", "confidence", "most", "overlap", "least"], ["kept"]
        ),
    ]
    outputs = [
        _value("corners", FLOAT, 1, "boxes", 4), _value("confidence", FLOAT, 1, 3, "boxes"),
        _value("kept", INT64, "found", 3),
    ]  # fmt: skip
    _save(
        path,
        helper.make_graph(
            nodes, "head", [_value("features", FLOAT, 1, 16, 8, 8)], outputs, weights
        ),
    )


def weights_beside(path: Path) -> None:
    """Two layers whose weights lie in another file."""
    weights = _weights(np.random.default_rng(0), first=(32, 64), last=(8, 32))
    nodes = [
        helper.make_node("Gemm", ["x", "first"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "last"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "layers", [_value("x", FLOAT, "batch", 64)], [_value("y", FLOAT, "batch", 8)],
        weights,
    )  # fmt: skip
    _save(path, graph, save_as_external_data=True, location="weights.bin", size_threshold=0)


def permuted(path: Path) -> None:
    """A convolution between permutes of an NHWC exporter."""
    weights = _weights(np.random.default_rng(0), kernel=(8, 3, 3, 3), point=(8, 8, 1, 1))
    nodes = [
        helper.make_node("Transpose", ["image"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a", "kernel"], ["b"], pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Transpose", ["d"], ["e"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["e", "point"], ["f"]),
        helper.make_node("Transpose", ["f"], ["y"], perm=[0, 2, 3, 1]),
    ]
    image = _value("image", FLOAT, "batch", "height", "width", 3)
    _save(
        path,
        helper.make_graph(
            nodes, "nhwc", [image], [_value("y", FLOAT, "batch", "height", "width", 8)], weights
        ),
    )
