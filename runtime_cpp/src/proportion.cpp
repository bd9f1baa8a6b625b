#include "edgesmith/proportion.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
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

/// Variance of a mean between groups, as that of a ratio of two sums over them.
double variance_between(const std::vector<double>& values, const Groups& groups, double mean) {
  std::map<std::int64_t, double> residuals;
  for (std::size_t i = 0; i < values.size(); ++i) residuals[groups[i]] += values[i] - mean;
  double sum = 0;
  for (const auto& [group, residual] : residuals) sum += residual * residual;
  const auto count = static_cast<double>(residuals.size());
  const auto n = static_cast<double>(values.size());
  return count / (count - 1) * sum / (n * n);
}

/// The number of independent samples that would give the mean the variance found between the
/// groups; `variance` is that of one sample. At most the number of samples; that of groups where
/// all samples agree.
double effective_count(const std::vector<double>& values, const Groups& groups, double mean,
                       double variance) {
  const auto n = static_cast<double>(values.size());
  const auto count = static_cast<double>(group_count(groups, values.size()));
  if (variance <= 0) return count;
  const double between = variance_between(values, groups, mean);
  if (between == 0) return n;
  const double t_ratio = student_t_quantile(n - 1) / student_t_quantile(count - 1);
  return std::min(n, variance / between * t_ratio * t_ratio);
}

/// Counts of pairs, which may be effective numbers that are not whole.
struct Pairs {
  double only_first = 0;
  double only_second = 0;
  double count = 0;
};

/// How many standard errors the difference found lies above `difference`, with the most likely
/// shares of discordant pairs under it.
double score(const Pairs& pairs, double difference) {
  const double a = 2 * pairs.count;
  const double b = -pairs.only_first - pairs.only_second +
                   (a - pairs.only_first + pairs.only_second) * difference;
  const double c = -pairs.only_second * difference * (1 - difference);
  const double root = std::sqrt(std::max(0.0, b * b - 4 * a * c));
  const double share = b > 0 ? -2 * c / (b + root) : (root - b) / (2 * a);
  const double variance = pairs.count * std::max(0.0, 2 * share + difference * (1 - difference));
  const double excess = pairs.only_first - pairs.only_second - pairs.count * difference;
  return excess / std::sqrt(std::max(variance, std::numeric_limits<double>::min()));
}

/// Where the score crosses `quantile` between two differences; it falls with the difference.
double crossing(const Pairs& pairs, double low, double high, double quantile) {
  constexpr int kSteps = 200;
  for (int step = 0; step < kSteps; ++step) {
    const double middle = (low + high) / 2;
    if (middle == low || middle == high) break;
    (score(pairs, middle) > quantile ? low : high) = middle;
  }
  return (low + high) / 2;
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
  const std::vector<double> values(hits.begin(), hits.end());
  return wilson(share, effective_count(values, groups, share, share * (1 - share)));
}

Interval paired_difference_interval(const std::vector<bool>& first, const std::vector<bool>& second,
                                    const Groups& groups) {
  Pairs pairs;
  pairs.count = static_cast<double>(first.size());
  std::vector<double> differences(first.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    differences[i] = (first[i] ? 1.0 : 0.0) - (second[i] ? 1.0 : 0.0);
    if (differences[i] > 0) ++pairs.only_first;
    if (differences[i] < 0) ++pairs.only_second;
  }
  const double mean = (pairs.only_first - pairs.only_second) / pairs.count;
  if (!groups.empty()) {
    const double discordant = (pairs.only_first + pairs.only_second) / pairs.count;
    const double shrunk =
        effective_count(differences, groups, mean, discordant - mean * mean) / pairs.count;
    pairs = {pairs.only_first * shrunk, pairs.only_second * shrunk, pairs.count * shrunk};
  }
  return {mean == -1 ? -1.0 : crossing(pairs, -1, mean, kNormalQuantile),
          mean == 1 ? 1.0 : crossing(pairs, mean, 1, -kNormalQuantile)};
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
