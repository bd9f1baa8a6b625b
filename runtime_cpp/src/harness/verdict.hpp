/// \file
/// How far a run's latencies can be trusted, and what would make them better.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace edgesmith::harness {

struct Evidence {
  const nlohmann::json& run;  ///< The run's entry with processes, requested, effective, latency.
  const std::vector<std::int64_t>& pooled;               ///< Steady latencies in ascending order.
  const std::vector<std::vector<std::int64_t>>& steady;  ///< The same by process.
  const nlohmann::json& device;                          ///< The report's context.device.
  bool emulated = false;
};

struct Verdict {
  std::string name;  ///< valid, noisy, throttled, uncontrolled or emulated.
  nlohmann::json conditions;
  std::vector<std::string> not_readable;  ///< What would have told more about the machine.
};

/// Throttling decides first, then disturbances, then whether the machine was under control: its
/// clock frequency, throttling and other work known, its power supply connected, its cores alike.
/// Too few samples for p99 and a provider that fell back are conditions but leave the verdict.
Verdict judge(const Evidence& evidence);

}  // namespace edgesmith::harness
