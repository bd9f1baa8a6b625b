#include "binomial.hpp"

#include <cmath>

namespace edgesmith {

double log_binomial(std::uint64_t k, std::uint64_t n, double p) {
  const auto kd = static_cast<double>(k);
  const auto nd = static_cast<double>(n);
  return std::lgamma(nd + 1) - std::lgamma(kd + 1) - std::lgamma(nd - kd + 1) + kd * std::log(p) +
         (nd - kd) * std::log1p(-p);
}

std::uint64_t binomial_quantile(std::uint64_t n, double p, double probability) {
  // Terms further than 12 standard deviations below the mean are under 1e-32 and left out.
  const double mean = static_cast<double>(n) * p;
  const double first = mean - 12 * std::sqrt(mean * (1 - p)) - 40;
  std::uint64_t k = first > 0 ? static_cast<std::uint64_t>(first) : 0;
  double term = std::exp(log_binomial(k, n, p));
  double cumulative = 0;
  for (; k < n; ++k) {
    cumulative += term;
    if (cumulative >= probability) return k;
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1) * p / (1 - p);
  }
  return n;
}

}  // namespace edgesmith
