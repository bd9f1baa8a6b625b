/// \file
/// ONNX Runtime's session options from a session's settings.
#pragma once

#include "edgesmith/session.hpp"
#include "ort.hpp"
#include "provider_setup.hpp"

namespace edgesmith {

GraphOptimizationLevel to_runtime(OptimizationLevel level);

/// All but the execution providers.
Ort::SessionOptions make_options(const SessionSettings& settings);

/// Whether a session notes which provider gets which nodes.
bool records_placement(const SessionSettings& settings);

/// The level for the providers that are used.
OptimizationLevel level_for(const SessionSettings& settings, const ProviderChoice& choice);

}  // namespace edgesmith
