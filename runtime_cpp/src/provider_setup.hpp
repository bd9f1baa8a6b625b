/// \file
/// Puts execution providers into a session's options, and finds out why one cannot be used.
#pragma once

#include <string>
#include <vector>

#include "edgesmith/providers.hpp"
#include "edgesmith/result.hpp"
#include "ort.hpp"

namespace edgesmith {

/// A provider that a session uses.
struct ActiveProvider {
  ProviderSettings settings;
  std::string runtime_name;  ///< As ONNX Runtime calls it.
};

/// What became of the providers that a session was asked to use.
struct ProviderChoice {
  std::vector<ActiveProvider> active;  ///< In the order of preference, without cpu.
  std::vector<ProviderFallback> missing;
};

/// Appends the providers that this machine can load.
/// \param threads What openvino is told, unless its options say otherwise.
/// \return kUsage for an unknown provider and for options that a provider refuses, kHarness for a
///         plugin whose library cannot be used.
Status append_providers(Ort::Env& env, Ort::SessionOptions& options,
                        const std::vector<ProviderSettings>& wanted, int threads,
                        ProviderChoice& choice);

/// Whether a message of a session that could not be made tells of options that a provider refuses.
bool refuses_options(const std::string& message);

/// One line of what ONNX Runtime says when a provider cannot be used.
std::string short_reason(const std::string& message);

/// What a failed inference is: a value that no operator takes is the samples' fault; a GPU without
/// memory is neither theirs nor the model's.
Error run_error(const std::string& provider, const std::exception& failure);

}  // namespace edgesmith
