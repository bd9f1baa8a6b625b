// The least that can time a model: a loop around Session::Run with bound inputs and outputs, which
// reads the clock as often as the harness does.
//     bare_loop MODEL.onnx SECONDS   prints the median in ns and the number of inferences
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <vector>

namespace {

std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// Free dimensions are 1. Elements of up to 8 bytes; their values do not matter to dense models.
Ort::Value tensor_of(const Ort::TypeInfo& type, const Ort::MemoryInfo& memory,
                     std::vector<std::int64_t>& storage) {
  const auto info = type.GetTensorTypeAndShapeInfo();
  std::vector<std::int64_t> dims = info.GetShape();
  std::size_t count = 1;
  for (std::int64_t& dim : dims) {
    dim = dim < 0 ? 1 : dim;
    count *= static_cast<std::size_t>(dim);
  }
  const bool is_byte = info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
  const std::size_t bytes = count * (is_byte ? 1 : sizeof(float));
  storage.assign(bytes / sizeof(std::int64_t) + 1, 0);
  return Ort::Value::CreateTensor(memory, storage.data(), bytes, dims.data(), dims.size(),
                                  info.GetElementType());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const double seconds = std::atof(argv[2]);
  const Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "bare");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  options.SetInterOpNumThreads(1);
  Ort::Session session(env, argv[1], options);
  Ort::IoBinding binding(session);
  const Ort::RunOptions run_options;
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<std::vector<std::int64_t>> storage(session.GetInputCount() +
                                                 session.GetOutputCount());
  for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
    binding.BindInput(session.GetInputNameAllocated(i, allocator).get(),
                      tensor_of(session.GetInputTypeInfo(i), memory, storage[i]));
  }
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i) {
    binding.BindOutput(
        session.GetOutputNameAllocated(i, allocator).get(),
        tensor_of(session.GetOutputTypeInfo(i), memory, storage[session.GetInputCount() + i]));
  }
  for (int i = 0; i < 20; ++i) session.Run(run_options, binding);
  std::vector<std::int64_t> latencies(4'000'000);
  std::size_t count = 0;
  const std::int64_t begin = now_ns();
  for (std::int64_t end = begin;
       static_cast<double>(end - begin) < seconds * 1e9 && count < latencies.size();) {
    const std::int64_t start = now_ns();
    session.Run(run_options, binding);
    end = now_ns();
    latencies[count++] = end - start;
  }
  const auto middle = latencies.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(latencies.begin(), middle,
                   latencies.begin() + static_cast<std::ptrdiff_t>(count));
  std::cout << *middle << ' ' << count << '\n';
}
