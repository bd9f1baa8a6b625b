#include "output_difference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace edgesmith::harness {

double output_difference(DataType type, const std::vector<unsigned char>& expected,
                         const std::vector<unsigned char>& found) {
  if (expected == found) return 0;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<double> a = to_doubles(type, expected.data(), expected.size());
  const std::vector<double> b = to_doubles(type, found.data(), found.size());
  if (a.size() != b.size()) return kInfinity;
  double magnitude = 0;
  double difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    if (std::isfinite(a[i])) magnitude = std::max(magnitude, std::abs(a[i]));
    if (same) continue;
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return kInfinity;
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  if (difference == 0) return 0;
  return magnitude == 0 ? kInfinity : difference / magnitude;
}

}  // namespace edgesmith::harness
