"""The table of models: each is exported, simplified, quantized and run by the C++ harness."""
