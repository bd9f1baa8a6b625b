// A library that loads, with nothing in it that ONNX Runtime looks for in a plugin.
extern "C" __attribute__((visibility("default"))) int nothing_of_a_provider() { return 0; }
