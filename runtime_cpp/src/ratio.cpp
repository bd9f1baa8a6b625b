#include <algorithm>
#include <cmath>
#include <numeric>

#include "edgesmith/bootstrap.hpp"
#include "random.hpp"

namespace edgesmith {
namespace {

constexpr std::uint64_t kSeed = 20250101;
constexpr int kReplicates = 200;  // Enough for a standard error (Efron and Tibshirani, 1993).
// Keeps the largest comparison under two seconds on a small board: the median of so many blocks'
// medians varies a little more than that of all values, never less.
constexpr std::size_t kLargestBlockCount = 64;
// Consecutive blocks are drawn together: what lasts longer than a block stays in the replicate.
constexpr std::size_t kRunLength = 8;

/// Medians of consecutive blocks of a process.
std::vector<double> block_medians(const std::vector<std::int64_t>& process) {
  const std::size_t count = std::min(process.size(), kLargestBlockCount);
  std::vector<double> medians;
  medians.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto from = process.begin() + static_cast<std::ptrdiff_t>(i * process.size() / count);
    const auto to = process.begin() + static_cast<std::ptrdiff_t>((i + 1) * process.size() / count);
    medians.push_back(median({from, to}));
  }
  return medians;
}

double log_median(std::vector<double> values) { return std::log(median(std::move(values))); }

/// Median of a process put together anew from runs of consecutive blocks.
double resampled_log_median(const std::vector<double>& blocks, Random& random) {
  const std::size_t length = std::min(kRunLength, (blocks.size() + 3) / 4);
  std::vector<double> drawn;
  drawn.reserve(blocks.size() + length);
  while (drawn.size() < blocks.size()) {
    const std::size_t from = random.below(blocks.size() - length + 1);
    for (std::size_t i = from; i < from + length; ++i) drawn.push_back(blocks[i]);
  }
  drawn.resize(blocks.size());
  return log_median(std::move(drawn));
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double variance_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return squares / static_cast<double>(values.size());
}

/// The mean logarithm of the processes' medians.
struct Side {
  double mean = 0;
  double variance = 0;  ///< Of the mean, over other processes.
  double degrees_of_freedom = 0;
};

Side side_of(const ProcessLatencies& processes, Random& random) {
  std::vector<double> medians;
  std::vector<std::vector<double>> blocks;
  for (const auto& process : processes) {
    medians.push_back(log_median({process.begin(), process.end()}));
    blocks.push_back(block_medians(process));
  }
  std::vector<double> replicates;
  for (int replicate = 0; replicate < kReplicates; ++replicate) {
    std::vector<double> drawn;
    drawn.reserve(blocks.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      drawn.push_back(resampled_log_median(blocks[random.below(blocks.size())], random));
    }
    replicates.push_back(mean_of(drawn));
  }
  // Resampling P processes shows (P - 1) / P of the variance of their mean.
  const auto count = static_cast<double>(processes.size());
  return {mean_of(medians), variance_of(replicates) * count / (count - 1), count - 1};
}

}  // namespace

Measured median_ratio(const ProcessLatencies& baseline, const ProcessLatencies& candidate) {
  for (const ProcessLatencies* side : {&baseline, &candidate}) {
    for (const auto& process : *side) {
      if (median({process.begin(), process.end()}) > 0) continue;
      return {{}, {}, "the median of a process is zero: the clock is too coarse for this model"};
    }
  }
  Random random(kSeed);
  const Side a = side_of(baseline, random);
  const Side b = side_of(candidate, random);
  const double difference = a.mean - b.mean;
  const double ratio = std::exp(difference);
  if (std::min(baseline.size(), candidate.size()) < 2) {
    return {ratio, {}, "a single process cannot show how processes differ: measure in several"};
  }
  const double variance = a.variance + b.variance;
  if (variance == 0) return {ratio, Interval{ratio, ratio}, {}};
  const double degrees = variance * variance /
                         (a.variance * a.variance / a.degrees_of_freedom +
                          b.variance * b.variance / b.degrees_of_freedom);
  const double half = student_t_quantile(degrees) * std::sqrt(variance);
  return {ratio, Interval{std::exp(difference - half), std::exp(difference + half)}, {}};
}

}  // namespace edgesmith
