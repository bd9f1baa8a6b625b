/// \file
/// The one way to ONNX Runtime's C++ API. Only the sources that implement sessions include it.
#pragma once

// Headers newer than the library are safe only if no static initializer asks for their version.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <string>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// The API version in which something that not every runtime has was added.
constexpr std::uint32_t kPluginApi = 22;
constexpr std::uint32_t kPlacementApi = 24;

/// Makes the API usable. \return kHarness if the library is too old for this program.
Status initialize_api();

/// ONNX Runtime's environment: one for the process, as long as somebody holds it. It prints
/// nothing; what it would have said of errors is kept for take_logged().
Ort::Env make_env();

/// The errors that ONNX Runtime logged since the last call: they tell more than its statuses.
std::string take_logged();

/// The API version that is in use after initialize_api().
std::uint32_t api_version();

/// Runs `work`, turning what ONNX Runtime throws into an Error.
template <typename Work>
auto guarded(ErrorCode code, const std::string& what, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& failure) {
    return Error{code, what + ": " + failure.what()};
  }
}

}  // namespace edgesmith
