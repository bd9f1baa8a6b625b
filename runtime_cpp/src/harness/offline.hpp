/// \file
/// The offline scenario: several streams at once.
#pragma once

#include <nlohmann/json.hpp>

#include "series.hpp"

namespace edgesmith::harness {

/// At most so many inferences are kept of all streams together, in this process's own memory.
constexpr std::size_t kMostOfflineInferences = std::size_t{1} << 17;

struct OfflineGoal {
  int streams = 1;
  SeriesGoal series;  ///< min_iterations: of all streams together.
};

/// Runs `goal.streams` threads that share one loaded model, each with buffers of its own, until
/// each has worked for long enough; those that are done earlier go on until the last one is.
/// Sessions of their own gave no difference in throughput that could be told from noise
/// (EfficientNet-Lite0, two streams), and had the weights in memory twice (78 MB instead of 44 MB
/// in FP32).
/// \param first The stream that is there already; the others are made after it.
/// \param fd Gets the latencies of all streams in the order in which they ended.
/// \return the scenario's part of a process in the report.
Result<nlohmann::json> run_offline(Stream& first, const SampleSource& source, const Shape& shape,
                                   const Clock& clock, const OfflineGoal& goal, int fd);

}  // namespace edgesmith::harness
