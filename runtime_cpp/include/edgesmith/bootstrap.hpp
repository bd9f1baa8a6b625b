/// \file
/// Intervals by resampling, the same on every machine: generator and seed are fixed.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "edgesmith/interval.hpp"
#include "edgesmith/latency.hpp"
#include "edgesmith/proportion.hpp"

namespace edgesmith {

/// Percentile bootstrap over samples, or over whole groups where there are any: `statistic` gets
/// resampled indices below `count`. Replicates without a finite value are left out; nothing if
/// fewer than half remain, if they are all alike, or for a single group.
std::optional<Interval> bootstrap_interval(
    std::size_t count, const Groups& groups,
    const std::function<double(const std::vector<std::size_t>&)>& statistic);

/// Ratio of latencies, baseline over candidate: of the geometric means of the processes' medians.
/// The interval is on the logarithm: a hierarchical bootstrap (processes, then runs of consecutive
/// latencies inside each) gives each side's variance, made up for the few processes there are, and
/// Student's t at Welch's degrees of freedom the width. No interval with a single process on a
/// side: it can't show how processes differ. Every list and every process is non-empty.
Measured median_ratio(const ProcessLatencies& baseline, const ProcessLatencies& candidate);

}  // namespace edgesmith
