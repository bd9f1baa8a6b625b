#include "edgesmith/proportion.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "binomial.hpp"

namespace edgesmith {
namespace {

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
  const double t_ratio =
      student_t_quantile(n - 1) / student_t_quantile(static_cast<double>(count - 1));
  const double effective = share * (1 - share) / variance * t_ratio * t_ratio;
  return wilson(share, std::min(n, effective));
}

double mcnemar_exact_p(std::uint64_t only_first, std::uint64_t only_second) {
  const std::uint64_t discordant = only_first + only_second;
  if (discordant == 0) return 1.0;
  double tail = 0;
  for (std::uint64_t k = 0; k <= std::min(only_first, only_second); ++k) {
    tail += std::exp(log_binomial(k, discordant, 0.5));
  }
  return std::min(1.0, 2 * tail);
}

}  // namespace edgesmith
