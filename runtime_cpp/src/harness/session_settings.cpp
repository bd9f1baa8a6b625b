#include "session_settings.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace edgesmith::harness {
namespace {

/// Our names and those of ONNX Runtime.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kProviders{{
    {"cpu", "CPUExecutionProvider"},
    {"openvino", "OpenVINOExecutionProvider"},
}};

constexpr const char* kSpinningEntry = "session.intra_op.allow_spinning";

}  // namespace

Result<EffectiveSettings> session_settings(const WantedSession& wanted) {
  const auto known = std::find_if(kProviders.begin(), kProviders.end(), [&](const auto& names) {
    return names.first == wanted.provider;
  });
  if (known == kProviders.end()) {
    std::string list;
    for (const auto& names : kProviders)
      list += (list.empty() ? "" : ", ") + std::string(names.first);
    return Error{ErrorCode::kUsage,
                 "provider '" + wanted.provider + "' is not known; known: " + list};
  }
  const auto level = optimization_level_from_name(wanted.optimization_level);
  if (!level) {
    return Error{ErrorCode::kModelOrData,
                 "graph_optimization_level '" + wanted.optimization_level + "' is not known"};
  }
  Result<RuntimeInfo> runtime = runtime_info();
  if (!runtime) return runtime.error();
  const auto& there = runtime->providers;
  const bool available = std::find(there.begin(), there.end(), known->second) != there.end();
  if (!available && wanted.require_provider) {
    return Error{ErrorCode::kHarness, "this runtime has no provider " + std::string(known->second)};
  }
  EffectiveSettings effective;
  effective.provider = available ? wanted.provider : "cpu";
  effective.settings.threads = wanted.threads;
  effective.settings.providers = {effective.provider};
  effective.settings.optimization_level = *level;
  effective.settings.config = wanted.config;
  effective.settings.arena = wanted.arena;
  auto& config = effective.settings.config;
  if (wanted.spinning) config[kSpinningEntry] = *wanted.spinning ? "1" : "0";
  const auto spinning = config.find(kSpinningEntry);
  if (spinning != config.end()) effective.spinning = spinning->second == "1";
  return effective;
}

}  // namespace edgesmith::harness
