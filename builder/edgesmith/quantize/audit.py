"""What a variant becomes when ONNX Runtime has fused it: the operators that really run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from edgesmith.stages import scratch_folder
from edgesmith.values import SessionOptions

# ONNX Runtime writes the fused graph whole: its weights go into a file that nobody reads.
_WEIGHTS_APART = {
    "session.optimized_model_external_initializers_file_name": "weights",
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
}


def fused_operators(model: Path, options: SessionOptions, *, scratch: Path) -> dict[str, int]:
    """Operator counts of the graph that this host's ONNX Runtime runs.

    The extended level is used, which leaves out layouts that differ from CPU to CPU. `scratch` is
    a folder for as many bytes as the model has, for a moment.
    """
    import onnxruntime

    native = onnxruntime.SessionOptions()
    native.log_severity_level = 4
    native.intra_op_num_threads = 1
    native.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    for key, value in {**options.config, **_WEIGHTS_APART}.items():
        native.add_session_config_entry(key, value)
    with scratch_folder(scratch) as folder:
        path = Path(folder) / "fused.onnx"
        native.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(str(model), native, providers=["CPUExecutionProvider"])
        import onnx

        fused = onnx.load(path, load_external_data=False)
    counts = Counter(node.op_type for node in fused.graph.node)
    return dict(sorted(counts.items()))
