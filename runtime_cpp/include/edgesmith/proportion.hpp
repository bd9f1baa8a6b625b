/// \file
/// Intervals and tests of proportions, and Student's t that several intervals use.
#pragma once

#include <cstdint>
#include <vector>

#include "edgesmith/interval.hpp"

namespace edgesmith {

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

/// Interval of the difference of two proportions of the same samples, first minus second: Tango's
/// score interval (1998), which has a width also where no sample differs. With groups at the number
/// of independent samples as in grouped_proportion_interval. The lists are of equal length, at
/// least 1; `groups` is empty or of that length, and names at least two.
Interval paired_difference_interval(const std::vector<bool>& first, const std::vector<bool>& second,
                                    const Groups& groups);

/// The 97.5 % quantile of the standard normal distribution.
constexpr double kNormalQuantile = 1.959963984540054;

/// The 97.5 % quantile of Student's t; the degrees of freedom need not be whole, at least 1.
double student_t_quantile(double degrees_of_freedom);

/// Exact two-sided McNemar test from the two counts of discordant pairs.
double mcnemar_exact_p(std::uint64_t only_first, std::uint64_t only_second);

}  // namespace edgesmith
