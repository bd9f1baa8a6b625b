#include "series.hpp"

#include <algorithm>
#include <numeric>

namespace edgesmith::harness {
namespace {

/// Enough blocks to see a shape, few enough that their medians are robust.
std::size_t block_size(const SeriesGoal& goal) {
  constexpr double kBlocks = 64;
  const double first = static_cast<double>(std::max<std::int64_t>(1, goal.first_inference_ns));
  const double expected =
      std::max(static_cast<double>(goal.min_iterations), goal.min_seconds * 1e9 / first);
  return static_cast<std::size_t>(std::clamp(expected / kBlocks, 1.0, 4096.0));
}

}  // namespace

Status Block::time(Stream& stream, const Clock& clock) {
  for (std::int64_t& latency : latencies) {
    if (Status status = stream.load_next(); !status) return status;
    const std::int64_t start = clock.now_ns();
    Status status = stream.session.run();
    latency = clock.now_ns() - start;
    if (!status) return status;
  }
  return Done{};
}

double Block::median() {
  std::copy(latencies.begin(), latencies.end(), sorted.begin());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return static_cast<double>(*middle);
}

std::int64_t Block::sum_ns() const {
  return std::accumulate(latencies.begin(), latencies.end(), std::int64_t{0});
}

Status run_single_stream(Stream& stream, const Clock& clock, const SeriesGoal& goal,
                         LatencyLog& log) {
  Block block(block_size(goal));
  Progress progress(goal);
  while (!progress.is_enough()) {
    if (Status status = block.time(stream, clock); !status) return status;
    const std::size_t count = block.latencies.size();
    if (Status status = log.append(block.latencies.data(), count); !status) return status;
    progress.add_block(count, block.median(), block.sum_ns());
  }
  return Done{};
}

}  // namespace edgesmith::harness
