#include "series.hpp"

#include <algorithm>
#include <numeric>

#include "file.hpp"

namespace edgesmith::harness {
namespace {

/// Enough blocks for find_warmup() to see a shape, few enough that their medians are robust.
std::size_t block_size(const SeriesGoal& goal) {
  constexpr double kBlocks = 64;
  const double first = static_cast<double>(std::max<std::int64_t>(1, goal.first_inference_ns));
  const double expected =
      std::max(static_cast<double>(goal.min_iterations), goal.min_seconds * 1e9 / first);
  return static_cast<std::size_t>(std::clamp(expected / kBlocks, 1.0, 4096.0));
}

/// Medians, counts and times of the blocks so far.
struct Blocks {
  std::vector<double> medians;
  std::vector<std::int64_t> sums_ns;
  std::size_t size = 0;

  /// Whether what follows the first `skipped` blocks satisfies the goal.
  bool satisfy(const SeriesGoal& goal, std::size_t skipped) const {
    const std::size_t count = (medians.size() - skipped) * size;
    const auto from = sums_ns.begin() + static_cast<std::ptrdiff_t>(skipped);
    const auto sum = std::accumulate(from, sums_ns.end(), std::int64_t{0});
    return count >= goal.min_iterations && static_cast<double>(sum) >= goal.min_seconds * 1e9;
  }
};

}  // namespace

Result<Series> run_series(Session& session, ModelIo& io, const Clock& clock, const SeriesGoal& goal,
                          int latency_fd) {
  Blocks blocks;
  blocks.size = block_size(goal);
  std::vector<std::int64_t> latencies(blocks.size);
  std::int64_t sample = 0;
  // Without a steady state, this many blocks are enough to say so.
  std::size_t limit = 0;
  std::size_t look_at = 0;
  for (;;) {
    for (std::int64_t& latency : latencies) {
      if (Status status = io.load(sample); !status) return status.error();
      sample = (sample + io.batch()) % io.sample_count();
      const std::int64_t start = clock.now_ns();
      Status status = session.run();
      latency = clock.now_ns() - start;
      if (!status) return status.error();
    }
    Status written =
        write_all(latency_fd, latencies.data(), latencies.size() * sizeof(latencies[0]));
    if (!written) return written.error();
    blocks.medians.push_back(median({latencies.begin(), latencies.end()}));
    blocks.sums_ns.push_back(std::accumulate(latencies.begin(), latencies.end(), std::int64_t{0}));
    if (!blocks.satisfy(goal, 0)) continue;
    if (limit == 0) limit = 2 * blocks.medians.size();
    if (blocks.medians.size() < look_at) continue;
    const Warmup warmup = find_warmup(blocks.medians);
    const bool steady = warmup.kind != WarmupKind::kNoSteadyState;
    // One block more: the report finds the steady state's first iteration, which may lie inside it.
    const bool enough = steady && blocks.satisfy(goal, warmup.iterations + 1);
    if (enough || blocks.medians.size() >= limit) {
      return Series{blocks.medians.size() * blocks.size};
    }
    // Looking takes longer the more blocks there are.
    look_at = blocks.medians.size() + 1 + blocks.medians.size() / 16;
  }
}

}  // namespace edgesmith::harness
