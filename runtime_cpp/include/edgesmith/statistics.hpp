/// \file
/// Statistics of latencies and of accuracy: pure functions, the same result on every machine.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace edgesmith {

/// A 95 % confidence interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// A value with its interval; without it, `reason` says why it is missing.
struct Measured {
  std::optional<double> value;
  std::optional<Interval> ci95;
  std::string reason;
};

/// A percentile of a sample; value and interval are there when the sample can bound it.
struct Percentile {
  std::string name;  ///< "50", "90", "99", "99.9".
  std::optional<double> value;
  std::optional<Interval> ci95;
  std::uint64_t samples_needed = 0;  ///< From which on the interval exists.
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
  Histogram histogram;
};

/// \param sorted Ascending latencies in ns, at least one.
LatencySummary summarize_latencies(const std::vector<std::int64_t>& sorted);

/// 1-based ranks [low, high] whose order statistics bound the quantile with 95 % confidence
/// whatever the distribution; nothing if the sample is too small.
std::optional<std::array<std::uint64_t, 2>> quantile_ranks(std::uint64_t count, double quantile);

/// The smallest sample for which quantile_ranks() exists.
std::uint64_t samples_needed(double quantile);

/// Middle value; the mean of the two middle ones for an even count. Not for an empty vector.
double median(std::vector<double> values);

/// Wilson's score interval of a proportion. `count` is at least 1.
Interval wilson_interval(std::uint64_t successes, std::uint64_t count);

/// Which group each sample belongs to, by number; empty where all samples are independent. Samples
/// of one group (crops of one picture) resemble each other, so intervals are taken over groups.
using Groups = std::vector<std::int64_t>;

/// How many groups there are; `count`, the number of samples, without groups.
std::size_t group_count(const Groups& groups, std::size_t count);

/// Interval of a proportion of grouped samples: Wilson's, at the number of independent samples that
/// would give the variance found between the groups, with Student's t for the few groups there are
/// (Korn and Graubard, 1998). Where all samples agree there is no variance to find, and each group
/// counts once. `hits` and `groups` are of equal length, at least 1.
Interval grouped_proportion_interval(const std::vector<bool>& hits, const Groups& groups);

/// The 97.5 % quantile of Student's t with at least one degree of freedom (Hill, 1970,
/// Cornish-Fisher expansion; exact for one and two), within 0.3 %.
double student_t_quantile(std::size_t degrees_of_freedom);

/// Exact two-sided McNemar test from the two counts of discordant pairs.
double mcnemar_exact_p(std::uint64_t only_first, std::uint64_t only_second);

/// Percentile bootstrap over samples, or over whole groups where there are any: `statistic` gets
/// resampled indices below `count`. Deterministic: the seed is fixed. Replicates without a finite
/// value are left out; nothing if fewer than half remain, or for a single group.
std::optional<Interval> bootstrap_interval(
    std::size_t count, const Groups& groups,
    const std::function<double(const std::vector<std::size_t>&)>& statistic);

/// Ratio of pooled medians, baseline over candidate, with a hierarchical bootstrap: processes are
/// resampled, then latencies inside each. Every list of processes and every process is non-empty.
/// Long processes are thinned, which widens the interval and never narrows it.
Measured median_ratio(const std::vector<std::vector<std::int64_t>>& baseline,
                      const std::vector<std::vector<std::int64_t>>& candidate);

/// What a series of latencies looks like from its start.
enum class WarmupKind { kFlat, kWarmUp, kSlowDown, kNoSteadyState };

/// "flat", "warm-up", "slow-down", "no-steady-state".
std::string warmup_name(WarmupKind kind);

struct Warmup {
  WarmupKind kind = WarmupKind::kNoSteadyState;
  std::size_t blocks = 0;  ///< Blocks that precede the steady state.
};

/// Finds where a series becomes steady, from the medians of its consecutive blocks: the last half
/// is the reference, and the steady state begins with the first window of blocks that agrees with
/// it. There is none if the last half itself drifts, or if the series has fewer than 8 blocks.
Warmup find_warmup(const std::vector<double>& blocks);

}  // namespace edgesmith
