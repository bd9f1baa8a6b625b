/// \file
/// The timed loop.
#pragma once

#include <cstdint>

#include "edgesmith/clock.hpp"
#include "edgesmith/session.hpp"
#include "edgesmith/statistics.hpp"
#include "model_io.hpp"

namespace edgesmith::harness {

struct SeriesGoal {
  double min_seconds = 5.0;  ///< Of inference time in the steady state.
  std::uint64_t min_iterations = 200;
  std::int64_t first_inference_ns = 0;  ///< Sizes the blocks.
};

struct Series {
  std::uint64_t iterations = 0;
};

/// Runs inferences until the steady state has lasted long enough, or for twice the time that the
/// goal takes if there is none. Latencies go to `latency_fd` between blocks, so that the memory of
/// this process does not grow with their number.
Result<Series> run_series(Session& session, ModelIo& io, const Clock& clock, const SeriesGoal& goal,
                          int latency_fd);

}  // namespace edgesmith::harness
