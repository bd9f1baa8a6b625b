#include "simulation.hpp"

#include <algorithm>
#include <cstdlib>

namespace edgesmith::test {
namespace {

constexpr std::size_t kTableSize = 65536;

/// Box and Muller.
double normal_value(Random& random) {
  constexpr double kTwoPi = 6.283185307179586;
  return std::sqrt(-2 * std::log(uniform(random))) * std::cos(kTwoPi * uniform(random));
}

Distribution table_of(const std::function<double(Random&)>& draw) {
  Random random(1);
  std::vector<double> values;
  values.reserve(kTableSize);
  for (std::size_t i = 0; i < kTableSize; ++i) values.push_back(draw(random));
  return Distribution(std::move(values));
}

}  // namespace

int experiment_count() {
  const char* asked = std::getenv("EDGESMITH_TEST_EXPERIMENTS");
  return asked == nullptr ? 1000 : static_cast<int>(std::strtol(asked, nullptr, 10));
}

bool judged() { return experiment_count() >= 1000; }

double uniform(Random& random) {
  return (static_cast<double>(random.next() >> 11) + 0.5) * 0x1p-53;
}

Distribution::Distribution(std::vector<double> values) : values_(std::move(values)) {
  std::sort(values_.begin(), values_.end());
}

double Distribution::quantile(double share) const {
  const double rank = std::ceil(share * static_cast<double>(values_.size()));
  return values_[static_cast<std::size_t>(rank) - 1];
}

Distribution Distribution::standard_normal() {
  // Mean and variance are exact: an autoregression would enlarge their errors.
  Random random(1);
  std::vector<double> values;
  double squares = 0;
  while (values.size() < kTableSize) {
    const double value = normal_value(random);
    values.insert(values.end(), {value, -value});
    squares += 2 * value * value;
  }
  for (double& value : values) value /= std::sqrt(squares / static_cast<double>(kTableSize));
  return Distribution(std::move(values));
}

Distribution Distribution::normal() {
  return table_of([](Random& random) { return 1e6 * (1 + 0.05 * normal_value(random)); });
}

Distribution Distribution::bimodal() {
  return table_of([](Random& random) {
    return (uniform(random) < 0.7 ? 1e6 : 1.6e6) * (1 + 0.03 * normal_value(random));
  });
}

Distribution Distribution::heavy_tailed() {
  return table_of(
      [](Random& random) { return 1e6 * (1 + 0.02 * std::pow(uniform(random), -1 / 1.5)); });
}

Noise independent(const Distribution& distribution) {
  return [&distribution](std::size_t count, Random& random) {
    std::vector<double> series(count);
    for (double& value : series) value = distribution.draw(random);
    return series;
  };
}

Noise autocorrelated(double phi, const Distribution& standard_normal) {
  return [&standard_normal, phi](std::size_t count, Random& random) {
    Autoregression noise(phi, standard_normal, random);
    std::vector<double> series(count);
    for (double& value : series) value = noise.draw(random);
    return series;
  };
}

}  // namespace edgesmith::test
