#include "session_options.hpp"

namespace edgesmith {

GraphOptimizationLevel to_runtime(OptimizationLevel level) {
  switch (level) {
    case OptimizationLevel::kDisable:
      return ORT_DISABLE_ALL;
    case OptimizationLevel::kBasic:
      return ORT_ENABLE_BASIC;
    case OptimizationLevel::kExtended:
      return ORT_ENABLE_EXTENDED;
    case OptimizationLevel::kAll:
      return ORT_ENABLE_ALL;
  }
  return ORT_ENABLE_ALL;
}

/// Also where it decides whether a provider does anything at all.
bool records_placement(const SessionSettings& settings) {
  const bool asks_for_others =
      !settings.providers.empty() && settings.providers.front().name != "cpu";
  return (settings.record_placement || asks_for_others) && api_version() >= kPlacementApi;
}

Ort::SessionOptions make_options(const SessionSettings& settings) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(settings.threads);
  options.SetInterOpNumThreads(1);
  options.SetExecutionMode(ORT_SEQUENTIAL);
  options.SetGraphOptimizationLevel(to_runtime(settings.optimization_level));
  if (settings.arena) {
    options.EnableCpuMemArena();
  } else {
    options.DisableCpuMemArena();
  }
  for (const auto& [key, value] : settings.config) {
    options.AddConfigEntry(key.c_str(), value.c_str());
  }
  if (!settings.profile_prefix.empty()) options.EnableProfiling(settings.profile_prefix.c_str());
  if (records_placement(settings)) {
    options.AddConfigEntry("session.record_ep_graph_assignment_info", "1");
  }
  return options;
}

/// The optimization level of whoever gets the model first: what suits one engine makes a model slow
/// on another. In the place of another the cpu takes it as that one would: integers that are made
/// for an engine may overflow in kernels that the runtime fuses for the cpu.
OptimizationLevel level_for(const SessionSettings& settings, const ProviderChoice& choice) {
  const ProviderSettings* used = nullptr;
  if (!choice.active.empty()) {
    used = &choice.active.front().settings;
  } else if (!settings.providers.empty() && settings.providers.front().name == "cpu") {
    used = &settings.providers.front();
  }
  if (used == nullptr) return settings.optimization_level;
  return optimization_level_from_name(used->optimization_level)
      .value_or(settings.optimization_level);
}

}  // namespace edgesmith
