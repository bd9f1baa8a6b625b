/// \file
/// What every plugin here needs of ONNX Runtime's interface.
#pragma once

// A plugin uses the functions of the library that loads it, which may be older than the headers.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <exception>

namespace edgesmith::test::plugin {

/// The lowest version with everything used here: the first that tells a tensor of no known
/// dimensions from a single number.
constexpr std::uint32_t kApiVersion = 24;

/// What ONNX Runtime calls must not throw: what `work` throws becomes a status.
template <typename Work>
OrtStatus* guarded(Work work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const Ort::Exception& failure) {
    return Ort::Status(failure).release();
  } catch (const std::exception& failure) {
    return Ort::Status(failure).release();
  }
}

/// What ONNX Runtime passes back as the structure of C that ours derives from. Those have no
/// virtual functions that could tell it from another, so that nothing but a static cast is
/// possible.
template <typename Ours, typename Theirs>
Ours* as(Theirs* given) noexcept {
  return static_cast<Ours*>(given);
}

/// To be called before anything else of the interface; null, or why it can't be used.
inline OrtStatus* use_api(const OrtApiBase& base) noexcept {
  const OrtApi* api = base.GetApi(kApiVersion);
  if (api == nullptr) {
    return base.GetApi(1)->CreateStatus(ORT_FAIL, "this plugin needs ONNX Runtime 1.24 or later");
  }
  Ort::InitApi(api);
  return nullptr;
}

}  // namespace edgesmith::test::plugin
