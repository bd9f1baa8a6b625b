#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "edgesmith/statistics.hpp"

namespace edgesmith {
namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // 97.5 %.

/// Wilson's interval; `n` may be an effective number that is not whole.
Interval wilson(double share, double n) {
  constexpr double z = kNormalQuantile;
  const double denominator = 1 + z * z / n;
  const double center = (share + z * z / (2 * n)) / denominator;
  const double half = z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / denominator;
  // At the ends the formula is exact and only rounding keeps it off.
  return {share == 0 ? 0.0 : std::max(0.0, center - half),
          share == 1 ? 1.0 : std::min(1.0, center + half)};
}

/// Variance of a share between groups, as that of a ratio of two sums over them.
double variance_between(const std::vector<bool>& hits, const Groups& groups, double share) {
  std::map<std::int64_t, double> residuals;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    residuals[groups[i]] += (hits[i] ? 1.0 : 0.0) - share;
  }
  double sum = 0;
  for (const auto& [group, residual] : residuals) sum += residual * residual;
  const auto count = static_cast<double>(residuals.size());
  const auto n = static_cast<double>(hits.size());
  return count / (count - 1) * sum / (n * n);
}

}  // namespace

std::size_t group_count(const Groups& groups, std::size_t count) {
  return groups.empty() ? count : std::set<std::int64_t>(groups.begin(), groups.end()).size();
}

double student_t_quantile(std::size_t degrees_of_freedom) {
  constexpr std::array<double, 2> kExact{12.706204736432095, 4.302652729749462};
  if (degrees_of_freedom <= kExact.size()) return kExact[degrees_of_freedom - 1];
  constexpr double z = kNormalQuantile;
  const auto v = static_cast<double>(degrees_of_freedom);
  const double z3 = z * z * z;
  const double z5 = z3 * z * z;
  const double z7 = z5 * z * z;
  const double z9 = z7 * z * z;
  return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v) +
         (79 * z9 + 776 * z7 + 1482 * z5 - 1920 * z3 - 945 * z) / (92160 * v * v * v * v);
}

Interval wilson_interval(std::uint64_t successes, std::uint64_t count) {
  return wilson(static_cast<double>(successes) / static_cast<double>(count),
                static_cast<double>(count));
}

Interval grouped_proportion_interval(const std::vector<bool>& hits, const Groups& groups) {
  const auto n = static_cast<double>(hits.size());
  const double share = static_cast<double>(std::count(hits.begin(), hits.end(), true)) / n;
  const std::size_t count = group_count(groups, hits.size());
  if (count < 2) return {0, 1};
  const double variance = variance_between(hits, groups, share);
  if (variance == 0) return wilson(share, static_cast<double>(count));
  const double t_ratio = student_t_quantile(hits.size() - 1) / student_t_quantile(count - 1);
  const double effective = share * (1 - share) / variance * t_ratio * t_ratio;
  return wilson(share, std::min(n, effective));
}

}  // namespace edgesmith
