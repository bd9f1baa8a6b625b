/// \file
/// Frames that queue before one worker, simulated event by event: what a fixed rate must give.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgesmith::test {

struct QueueOutcome {
  std::uint64_t late = 0;
  std::uint64_t waiting = 0;
  double achieved_hz = 0;
  std::vector<std::int64_t> latencies_ns;
};

/// Frames arrive at `rate_hz`, the first at 0; the worker takes them in order, each for its time.
inline QueueOutcome simulate_queue(const std::vector<std::int64_t>& services_ns, double rate_hz) {
  QueueOutcome outcome;
  const double period_ns = 1e9 / rate_hz;
  std::vector<std::int64_t> arrivals_ns;
  for (std::size_t i = 0; i <= services_ns.size(); ++i) {
    arrivals_ns.push_back(std::llround(static_cast<double>(i) * period_ns));
  }
  std::int64_t free_ns = 0;
  for (std::size_t i = 0; i < services_ns.size(); ++i) {
    const std::int64_t start_ns = free_ns > arrivals_ns[i] ? free_ns : arrivals_ns[i];
    free_ns = start_ns + services_ns[i];
    outcome.latencies_ns.push_back(free_ns - arrivals_ns[i]);
    if (free_ns > arrivals_ns[i + 1]) ++outcome.late;
  }
  const auto end_ns =
      static_cast<double>(free_ns > arrivals_ns.back() ? free_ns : arrivals_ns.back());
  const auto done = static_cast<double>(services_ns.size());
  outcome.achieved_hz = done * 1e9 / end_ns;
  const double arrived = std::floor(static_cast<double>(free_ns) / period_ns) + 1;
  if (free_ns > arrivals_ns.back()) outcome.waiting = static_cast<std::uint64_t>(arrived - done);
  return outcome;
}

}  // namespace edgesmith::test
