// The least that can run a model: Session::Run with bound inputs and outputs, one thread.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace bare {

inline std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

class Session {
 public:
  explicit Session(const char* model)
      : env_(ORT_LOGGING_LEVEL_ERROR, "bare"),
        session_(env_, model, single_threaded()),
        binding_(session_),
        storage_(session_.GetInputCount() + session_.GetOutputCount()) {
    Ort::AllocatorWithDefaultOptions allocator;
    const std::size_t inputs = session_.GetInputCount();
    for (std::size_t i = 0; i < inputs; ++i) {
      names_.emplace_back(session_.GetInputNameAllocated(i, allocator).get());
      binding_.BindInput(names_.back().c_str(), tensor(session_.GetInputTypeInfo(i), i));
    }
    for (std::size_t i = inputs; i < storage_.size(); ++i) {
      binding_.BindOutput(session_.GetOutputNameAllocated(i - inputs, allocator).get(),
                          tensor(session_.GetOutputTypeInfo(i - inputs), i));
    }
  }

  const std::vector<std::string>& inputs() const { return names_; }
  void* input(std::size_t index) { return storage_[index].data(); }
  void run() { session_.Run(run_options_, binding_); }

  // One latency in ns, read off the clock as often as the harness reads it.
  std::int64_t time() {
    const std::int64_t start = now_ns();
    run();
    return now_ns() - start;
  }

 private:
  static Ort::SessionOptions single_threaded() {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    options.SetInterOpNumThreads(1);
    return options;
  }

  // Free dimensions are 1.
  Ort::Value tensor(const Ort::TypeInfo& type, std::size_t index) {
    const auto info = type.GetTensorTypeAndShapeInfo();
    std::vector<std::int64_t> dims = info.GetShape();
    std::size_t count = 1;
    for (std::int64_t& dim : dims) {
      dim = dim < 0 ? 1 : dim;
      count *= static_cast<std::size_t>(dim);
    }
    const bool is_byte = info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    const std::size_t bytes = count * (is_byte ? 1 : sizeof(float));
    storage_[index].assign(bytes / sizeof(std::int64_t) + 1, 0);
    return Ort::Value::CreateTensor(memory_, storage_[index].data(), bytes, dims.data(),
                                    dims.size(), info.GetElementType());
  }

  Ort::Env env_;
  Ort::Session session_;
  Ort::IoBinding binding_;
  Ort::RunOptions run_options_;
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<std::string> names_;
  std::vector<std::vector<std::int64_t>> storage_;
};

}  // namespace bare
