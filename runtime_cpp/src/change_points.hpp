/// \file
/// Level changes in a noisy series.
#pragma once

#include <cstddef>
#include <vector>

namespace edgesmith {

/// Normal scores of the ranks, ties sharing theirs: robust against heavy tails and several modes,
/// and blind to the unit. At least one value.
std::vector<double> normal_scores(const std::vector<double>& values);

/// Variance of a series' mean times its length, as an autoregression of first order would have it,
/// from differences between neighbours: level changes hardly touch those. At least 4 values.
double long_run_variance(const std::vector<double>& values);

/// Positions at which a new level begins, ascending, without 0: PELT with squared deviations from
/// the mean, each change costing `penalty`. Only multiples of `grid` are tried.
std::vector<std::size_t> pelt(const std::vector<double>& values, std::size_t grid, double penalty);

/// The changes of a series of any length, each to the single value.
std::vector<std::size_t> find_change_points(const std::vector<double>& series);

}  // namespace edgesmith
