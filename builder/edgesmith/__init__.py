"""edgesmith: a trained PyTorch or ONNX model becomes a tested INT8 C++ program on a device."""

__version__ = "0.1.0"
