#include <algorithm>
#include <cmath>
#include <limits>

#include "edgesmith/proportion.hpp"

namespace edgesmith {
namespace {

/// Regularized incomplete beta function I_x(a, b) for x < (a + 1) / (a + b + 2): Lentz's evaluation
/// of its continued fraction.
double incomplete_beta(double a, double b, double x) {
  constexpr int kSteps = 500;
  constexpr double kTiny = 1e-300;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x)) /
                       a;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m < kSteps; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < std::numeric_limits<double>::epsilon()) break;
  }
  return front * fraction;
}

/// P(T > t) for t > 0.
double upper_tail(double t, double degrees) {
  const double x = degrees / (degrees + t * t);
  const double a = degrees / 2;
  if (x < (a + 1) / (a + 2.5)) return incomplete_beta(a, 0.5, x) / 2;
  return (1 - incomplete_beta(0.5, a, t * t / (degrees + t * t))) / 2;
}

/// Cornish and Fisher's expansion (Hill, 1970).
double expanded_quantile(double v) {
  constexpr double z = kNormalQuantile;
  const double z3 = z * z * z;
  const double z5 = z3 * z * z;
  const double z7 = z5 * z * z;
  const double z9 = z7 * z * z;
  return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v) +
         (79 * z9 + 776 * z7 + 1482 * z5 - 1920 * z3 - 945 * z) / (92160 * v * v * v * v);
}

}  // namespace

double student_t_quantile(double degrees_of_freedom) {
  // From here on the expansion is exact to the last digits, and the tail loses them.
  constexpr double kMany = 400;
  constexpr double kTail = 0.025;
  if (degrees_of_freedom >= kMany) return expanded_quantile(degrees_of_freedom);
  double low = 1.9;
  double high = 12.8;  // One degree of freedom: 12.706.
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (upper_tail(middle, degrees_of_freedom) > kTail ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace edgesmith
