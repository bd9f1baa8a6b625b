/// \file
/// The timed loops of a single stream. Between the two readings of the clock lies the inference and
/// nothing else; between two inferences the next sample is copied into the bound input, as a camera
/// would write it. From the first timed inference to the last nothing of ours allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "edgesmith/clock.hpp"
#include "edgesmith/session.hpp"
#include "latency_log.hpp"
#include "model_io.hpp"
#include "progress.hpp"

namespace edgesmith::harness {

/// A session with its buffers; which sample comes next.
struct Stream {
  Session& session;
  ModelIo& io;
  std::int64_t sample = 0;

  Status load_next() {
    Status status = io.load(sample);
    sample = (sample + io.batch()) % io.sample_count();
    return status;
  }
};

/// Latencies of consecutive inferences, with room to find their median.
struct Block {
  explicit Block(std::size_t size) : latencies(size), sorted(size) {}
  std::vector<std::int64_t> latencies;
  std::vector<std::int64_t> sorted;

  Status time(Stream& stream, const Clock& clock);
  double median();
  std::int64_t sum_ns() const;
};

/// Runs inferences until the steady state has lasted long enough, or for twice the time that the
/// goal takes if there is none.
Status run_single_stream(Stream& stream, const Clock& clock, const SeriesGoal& goal,
                         LatencyLog& log);

/// Runs inferences for `seconds`. \return the scenario's part of a process in the report: latency
/// and resident memory of at most 60 windows of time, in memory of fixed size.
Result<nlohmann::json> run_soak(Stream& stream, const Clock& clock, double seconds,
                                std::int64_t first_inference_ns, LatencyLog& log);

}  // namespace edgesmith::harness
