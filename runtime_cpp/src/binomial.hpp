/// \file
/// The binomial distribution.
#pragma once

#include <cstdint>

namespace edgesmith {

/// Logarithm of P(B = k) for B of n trials with 0 < p < 1.
double log_binomial(std::uint64_t k, std::uint64_t n, double p);

/// The smallest k with P(B <= k) >= probability.
std::uint64_t binomial_quantile(std::uint64_t n, double p, double probability);

}  // namespace edgesmith
