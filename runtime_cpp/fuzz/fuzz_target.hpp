/// \file
/// What fuzz targets share: the entry that libFuzzer and the replay call, and checks that end the
/// program, so that both take a broken promise for a finding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "edgesmith/result.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes);

namespace edgesmith::fuzz {

inline void require(bool kept, const char* promise) {
  if (kept) return;
  static_cast<void>(std::fprintf(stderr, "broken promise: %s\n", promise));
  std::abort();
}

/// A refusal says why, with the code that the function documents.
inline void require_refusal(const Error& error, ErrorCode code) {
  require(error.code == code, "the refusal has the documented code");
  require(!error.message.empty(), "the refusal says why");
}

}  // namespace edgesmith::fuzz
