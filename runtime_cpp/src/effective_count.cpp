#include <algorithm>
#include <cmath>
#include <numeric>

#include "edgesmith/latency.hpp"
#include "edgesmith/proportion.hpp"

namespace edgesmith {
namespace {

// More blocks than this show nothing new of correlations that last.
constexpr std::size_t kLargestBlockCount = 5000;
// The window ends where it is this many times as long as what it has found (Sokal, 1996).
constexpr double kWindowTimes = 5;
// Processes count as different when their shares vary by this many times more than the
// correlations inside them explain: 5 % of the F distribution for three processes.
constexpr double kProcessesDiffer = 3;

/// Variance of the mean of the indicators over that of as many independent ones, and how well it
/// is known.
struct Inflation {
  double factor = 1;
  double degrees_of_freedom = 0;
};

/// Shares of each block of a process that are not above the threshold, less their mean.
std::vector<double> centered_shares(const std::vector<std::int64_t>& process, std::int64_t size,
                                    double threshold) {
  const auto block = static_cast<std::size_t>(size);
  std::vector<double> shares;
  for (std::size_t from = 0; from + block <= process.size(); from += block) {
    const auto begin = process.begin() + static_cast<std::ptrdiff_t>(from);
    const auto hits = std::count_if(begin, begin + size, [&](std::int64_t value) {
      return static_cast<double>(value) <= threshold;
    });
    shares.push_back(static_cast<double>(hits) / static_cast<double>(size));
  }
  const double mean =
      std::accumulate(shares.begin(), shares.end(), 0.0) / static_cast<double>(shares.size());
  for (double& share : shares) share -= mean;
  return shares;
}

/// Mean product of values `lag` apart, over all processes.
double autocovariance(const std::vector<std::vector<double>>& processes, std::size_t lag) {
  double sum = 0;
  std::size_t count = 0;
  for (const std::vector<double>& values : processes) {
    for (std::size_t i = lag; i < values.size(); ++i) sum += values[i] * values[i - lag];
    count += values.size() > lag ? values.size() - lag : 0;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

Inflation within_processes(const ProcessLatencies& processes, double quantile, double threshold) {
  std::size_t longest = 1;
  for (const auto& process : processes) longest = std::max(longest, process.size());
  const std::size_t size = (longest + kLargestBlockCount - 1) / kLargestBlockCount;
  std::vector<std::vector<double>> shares;
  std::size_t blocks = 0;
  for (const auto& process : processes) {
    shares.push_back(centered_shares(process, static_cast<std::int64_t>(size), threshold));
    blocks += shares.back().size();
  }
  const double variance = autocovariance(shares, 0);
  if (variance == 0) return {1, static_cast<double>(blocks)};
  const std::size_t last = std::max<std::size_t>(1, longest / size / 20);
  double sum = variance;
  std::size_t window = 0;
  while (window < last && static_cast<double>(window) < kWindowTimes * sum / variance) {
    ++window;
    sum += 2 * autocovariance(shares, window);
  }
  const auto terms = static_cast<double>(2 * window + 1);
  const auto n = static_cast<double>(blocks);
  // Each process' own mean was taken off, which took a part of the sum with it.
  sum *= 1 + static_cast<double>(processes.size()) * terms / n;
  return {static_cast<double>(size) * sum / (quantile * (1 - quantile)), n / terms};
}

/// The same from how the shares of the processes differ; at least two.
double between_processes(const ProcessLatencies& processes, double quantile, double threshold) {
  std::vector<double> hits;
  double count = 0;
  for (const auto& process : processes) {
    hits.push_back(
        static_cast<double>(std::count_if(process.begin(), process.end(), [&](std::int64_t value) {
          return static_cast<double>(value) <= threshold;
        })));
    count += static_cast<double>(process.size());
  }
  const double share = std::accumulate(hits.begin(), hits.end(), 0.0) / count;
  double squares = 0;
  for (std::size_t i = 0; i < processes.size(); ++i) {
    const double residual = hits[i] - share * static_cast<double>(processes[i].size());
    squares += residual * residual;
  }
  const auto n = static_cast<double>(processes.size());
  return n / (n - 1) * squares / count / (quantile * (1 - quantile));
}

double at_quantile(std::vector<std::int64_t> values, double quantile) {
  const double rank = std::max(1.0, std::ceil(quantile * static_cast<double>(values.size())));
  const auto position = values.begin() + static_cast<std::ptrdiff_t>(rank) - 1;
  std::nth_element(values.begin(), position, values.end());
  return static_cast<double>(*position);
}

}  // namespace

double effective_count(const ProcessLatencies& processes, double quantile, double threshold) {
  double count = 0;
  for (const auto& process : processes) count += static_cast<double>(process.size());
  const Inflation inflation = within_processes(processes, quantile, threshold);
  // What lies within its own standard error counts as none.
  if (inflation.factor <= 1 + std::sqrt(2 / inflation.degrees_of_freedom)) return count;
  const double t =
      student_t_quantile(std::max(1.0, inflation.degrees_of_freedom)) / kNormalQuantile;
  return count / (inflation.factor * t * t);
}

double process_half_width(const ProcessLatencies& processes, double quantile, double threshold,
                          double effective_count) {
  double count = 0;
  std::vector<double> logarithms;
  for (const auto& process : processes) {
    if (process.empty()) continue;
    count += static_cast<double>(process.size());
    logarithms.push_back(std::log(std::max(1.0, at_quantile(process, quantile))));
  }
  const auto n = static_cast<double>(logarithms.size());
  if (n < 2) return 0;
  const double within = count / effective_count;
  if (between_processes(processes, quantile, threshold) <= kProcessesDiffer * within) return 0;
  const double mean = std::accumulate(logarithms.begin(), logarithms.end(), 0.0) / n;
  double squares = 0;
  for (const double value : logarithms) squares += (value - mean) * (value - mean);
  return student_t_quantile(n - 1) * std::sqrt(squares / (n - 1) / n);
}

}  // namespace edgesmith
