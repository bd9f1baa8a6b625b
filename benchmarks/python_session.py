"""The other side of bench_harness: one model in Python's InferenceSession with IO binding.

`python_session.py MODEL SAMPLES SECONDS` prints {"p50_ns", "count"}; with SECONDS 0 it runs one
inference and ends. Inputs and outputs are bound once; each sample is copied to the bound input
outside of what is timed, as the harness does.
"""

from __future__ import annotations

import json
import os
import sys
import time

# As edgesmith's programs do; before the runtime is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from safetensors import safe_open

# As edgesmith sets its sessions up.
CONFIG = {"optimization.disable_specified_optimizers": "WeightBiasQuantization"}
WARMUP_SHARE = 0.2


def open_session(path: str) -> onnxruntime.InferenceSession:
    """A CPU session with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    for key, value in CONFIG.items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main(model: str, samples: str, seconds: float) -> None:
    """Measures and prints."""
    session = open_session(model)
    binding = session.io_binding()
    bound = {}
    with safe_open(samples, framework="numpy") as file:
        stored = {one.name: file.get_slice(f"inputs/{one.name}") for one in session.get_inputs()}
        count = int(file.metadata()["count"])
        for name, tensor in stored.items():
            bound[name] = np.array(tensor[0], order="C")
            binding.bind_input(
                name, "cpu", 0, bound[name].dtype, bound[name].shape, bound[name].ctypes.data
            )
        for output in session.get_outputs():
            shape = [1 if isinstance(dim, str) else dim for dim in output.shape]
            value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
            binding.bind_ortvalue_output(output.name, value)
        session.run_with_iobinding(binding)
        if not seconds:
            return
        times, steady = [], []
        index, end = 0, time.perf_counter() + seconds
        start_steady = end - seconds * (1 - WARMUP_SHARE)
        while (now := time.perf_counter()) < end:
            for name, tensor in stored.items():
                bound[name][...] = tensor[index]
            index = (index + 1) % count
            started = time.perf_counter_ns()
            session.run_with_iobinding(binding)
            times.append(time.perf_counter_ns() - started)
            if now >= start_steady:
                steady.append(times[-1])
    print(json.dumps({"p50_ns": float(np.median(steady)), "count": len(steady)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
