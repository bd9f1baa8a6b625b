/// \file
/// A session by a provider that has a memory of its own.
#pragma once

#include <string>

#include "edgesmith/session.hpp"

namespace edgesmith::test {

/// Under the name of the provider for real GPUs.
inline Result<Session> open_on_gpu(const std::string& data) {
  SessionSettings settings;
  settings.providers = {{"cuda", {}, EDGESMITH_TEST_GPU_LIKE_PROVIDER, {}}};
  settings.require_provider = true;
  return Session::open(data + "/relu.onnx", settings);
}

}  // namespace edgesmith::test
