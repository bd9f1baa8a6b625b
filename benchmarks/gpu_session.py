"""The other side of bench_gpu: one model by an execution provider of Python's onnxruntime-gpu.

`gpu_session.py MODEL SAMPLES SECONDS PROVIDER OPTIONS` prints {"p50_ns", "count"}; it ends with an
error where the provider is not used.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import onnxruntime
from safetensors import safe_open

NAMES = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
BEHIND = {"tensorrt": ("cuda",)}
WARMUP_SHARE = 0.2


def main(model: str, samples: str, seconds: float, provider: str, text: str) -> None:
    """Measures and prints."""
    wanted = [(NAMES[provider], json.loads(text))]
    wanted += [(NAMES[name], {}) for name in (*BEHIND.get(provider, ()), "cpu")]
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, settings, providers=wanted)
    if NAMES[provider] not in session.get_providers():
        sys.exit(f"{NAMES[provider]} is not used: {session.get_providers()}")
    with safe_open(samples, framework="numpy") as file:
        stored = {one.name: file.get_tensor(f"inputs/{one.name}") for one in session.get_inputs()}
    count = len(next(iter(stored.values())))
    steady = []
    index, end = 0, time.perf_counter() + seconds
    start_steady = end - seconds * (1 - WARMUP_SHARE)
    while (now := time.perf_counter()) < end:
        feeds = {name: np.ascontiguousarray(one[index]) for name, one in stored.items()}
        index = (index + 1) % count
        started = time.perf_counter_ns()
        session.run(None, feeds)
        taken = time.perf_counter_ns() - started
        if now >= start_steady:
            steady.append(taken)
    print(json.dumps({"p50_ns": float(np.median(steady)), "count": len(steady)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4], sys.argv[5])
