"""edgesmith: a trained PyTorch or ONNX model becomes a tested INT8 C++ program on a device."""

import os

__version__ = "0.1.0"

# ONNX Runtime's own builds report use of a model to its maker unless this stands in the environment
# before the first session, here or in a process that we start.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
