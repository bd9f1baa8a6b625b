"""The other side of bench_openvino: one model in OpenVINO's own Python API, on one thread.

`openvino_session.py MODEL SAMPLES SECONDS` prints {"p50_ns", "count", "version"}. Inputs are copied
into OpenVINO's tensor outside of what is timed, as the harness does; with the settings that
edgesmith gives to ONNX Runtime's OpenVINO provider.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import openvino
from safetensors import safe_open

SETTINGS = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
}
WARMUP_SHARE = 0.2


def main(model: str, samples: str, seconds: float) -> None:
    """Measures and prints."""
    request = openvino.Core().compile_model(model, "CPU", SETTINGS).create_infer_request()
    with safe_open(samples, framework="numpy") as file:
        stored = file.get_tensor("inputs/image")
    bound = np.array(stored[0], order="C")
    request.set_input_tensor(openvino.Tensor(bound, shared_memory=True))
    steady = []
    index, end = 0, time.perf_counter() + seconds
    start_steady = end - seconds * (1 - WARMUP_SHARE)
    while (now := time.perf_counter()) < end:
        bound[...] = stored[index]
        index = (index + 1) % len(stored)
        started = time.perf_counter_ns()
        request.infer()
        taken = time.perf_counter_ns() - started
        if now >= start_steady:
            steady.append(taken)
    found = {"p50_ns": float(np.median(steady)), "count": len(steady)}
    print(json.dumps({**found, "version": openvino.__version__.split("-")[0]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
