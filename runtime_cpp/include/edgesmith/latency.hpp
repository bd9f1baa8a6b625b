/// \file
/// What a sample of latencies says about percentiles, spread and outliers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/interval.hpp"

namespace edgesmith {

/// Latencies in ns by process, each in the order of time.
using ProcessLatencies = std::vector<std::vector<std::int64_t>>;

/// A percentile of a sample; value and interval are there when the sample can bound it.
struct Percentile {
  std::string name;  ///< "50", "90", "99", "99.9".
  std::optional<double> value;
  std::optional<Interval> ci95;  ///< Over other processes, if those measured differ.
  /// As many independent latencies would bound it as well; at most their number.
  std::uint64_t effective_count = 0;
  std::uint64_t samples_needed = 0;  ///< From how many such latencies on the interval exists.
};

/// Latencies further from the median than 14.826 median absolute deviations (ten standard
/// deviations of a normal distribution). They are counted and stay in all figures.
struct Outliers {
  std::uint64_t count = 0;
  double share = 0;
};

/// Counts in bins whose edges grow by a constant factor.
struct Histogram {
  std::vector<double> edges;  ///< One more than counts.
  std::vector<std::uint64_t> counts;
};

/// A summary of latencies in ns.
struct LatencySummary {
  std::uint64_t count = 0;
  double mean = 0;
  std::optional<double> stddev;  ///< Missing for one sample.
  double minimum = 0;
  double maximum = 0;
  std::vector<Percentile> percentiles;
  Outliers outliers;
  Histogram histogram;
};

/// \param processes The steady latencies, at least one in all.
/// \param sorted The same, pooled and ascending.
LatencySummary summarize_latencies(const ProcessLatencies& processes,
                                   const std::vector<std::int64_t>& sorted);

/// The summary's percentiles alone.
std::vector<Percentile> percentiles_of(const ProcessLatencies& processes,
                                       const std::vector<std::int64_t>& sorted);

/// \param sorted Ascending, at least one.
Outliers count_outliers(const std::vector<std::int64_t>& sorted);

/// 1-based ranks [low, high] whose order statistics bound the quantile with 95 % confidence
/// whatever the distribution; nothing if the sample is too small. The sample is independent.
std::optional<std::array<std::uint64_t, 2>> quantile_ranks(std::uint64_t count, double quantile);

/// The same for `count` latencies that tell as much as `effective_count` independent ones.
std::optional<std::array<std::uint64_t, 2>> quantile_ranks(std::uint64_t count, double quantile,
                                                           std::uint64_t effective_count);

/// The smallest independent sample for which quantile_ranks() exists.
std::uint64_t samples_needed(double quantile);

/// How many independent latencies would bound a quantile as well as these do. Latencies resemble
/// those that ran next to them: the variance of the share that is not above `threshold`, the
/// sample's quantile, tells by how much. It is summed over the autocovariances inside each process,
/// up to a window that fits them (Wolff, 2004). What Student's t costs for a variance that is
/// itself an estimate is in the number.
double effective_count(const ProcessLatencies& processes, double quantile, double threshold);

/// By how much, as a logarithm, other processes would move a quantile to either side: Student's t
/// interval of the processes' own quantiles. 0 for a single process, and where their shares below
/// `threshold` differ by no more than `effective_count` explains.
double process_half_width(const ProcessLatencies& processes, double quantile, double threshold,
                          double effective_count);

/// Middle value; the mean of the two middle ones for an even count. Not for an empty vector.
double median(std::vector<double> values);

}  // namespace edgesmith
