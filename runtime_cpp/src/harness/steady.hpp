/// \file
/// Where the steady state of a process begins: the one place that asks the statistics for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "child.hpp"

namespace edgesmith::harness {

/// The part of a process's inferences that is reported as its latency.
struct Steady {
  nlohmann::json warmup;                ///< The report's `warmup` of the process.
  std::vector<std::int64_t> latencies;  ///< ns, in order, from the steady state on.
  std::vector<std::int64_t> work;       ///< The same without waiting for other frames.
};

/// \param outcome Of a process without error.
Steady find_steady(const ChildOutcome& outcome);

}  // namespace edgesmith::harness
