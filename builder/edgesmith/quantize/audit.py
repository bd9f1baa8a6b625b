"""What a variant becomes when ONNX Runtime has fused it: the operators that really run."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from edgesmith.values import SessionOptions


def fused_operators(model: Path, options: SessionOptions) -> dict[str, int]:
    """Operator counts of the graph that this host's ONNX Runtime runs.

    The extended level is used, which leaves out layouts that differ from CPU to CPU.
    """
    import onnxruntime

    native = onnxruntime.SessionOptions()
    native.log_severity_level = 4
    native.intra_op_num_threads = 1
    native.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    for key, value in options.config.items():
        native.add_session_config_entry(key, value)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.onnx"
        native.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(str(model), native, providers=["CPUExecutionProvider"])
        import onnx

        fused = onnx.load(path)
    counts = Counter(node.op_type for node in fused.graph.node)
    return dict(sorted(counts.items()))
