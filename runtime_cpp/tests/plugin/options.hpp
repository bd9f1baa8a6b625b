/// \file
/// The options of the sample provider.
#pragma once

#include <string>
#include <vector>

#include "api.hpp"
#include "kernel.hpp"

namespace edgesmith::test::plugin {

inline constexpr const char* kProviderName = "SampleExecutionProvider";

enum class Failure { kNone, kLoad, kRun };

struct Options {
  /// `operators`, their names separated by commas: what the provider claims.
  std::vector<Operator> operators{Operator::kRelu, Operator::kAdd};
  /// `fail`: when it is to fail, `load` or `run`.
  Failure fail = Failure::kNone;
};

/// Throws on what is not known.
Options read_options(const OrtSessionOptions& session);

}  // namespace edgesmith::test::plugin
