/// \file
/// Latencies from distributions whose truth is known. Seeds are fixed, so a result never changes.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "random.hpp"

namespace edgesmith::test {

/// How many experiments a row has: 1000, or what EDGESMITH_TEST_EXPERIMENTS asks for. Sanitizers
/// look for other mistakes: a few experiments run the same code for them.
int experiment_count();

/// Whether there are enough experiments to judge a share of them.
bool judged();

/// Uniform between 0 and 1, never either.
double uniform(Random& random);

/// A distribution as a table of equally probable values: cheap to draw from, its quantiles known.
class Distribution {
 public:
  explicit Distribution(std::vector<double> values);

  double draw(Random& random) const { return values_[random.next() >> 48]; }
  double quantile(double share) const;

  /// Standard normal.
  static Distribution standard_normal();
  /// Around 1 ms, noise of 5 %.
  static Distribution normal();
  /// 70 % around 1 ms, 30 % around 1.6 ms, noise of 3 %.
  static Distribution bimodal();
  /// 1 ms and a Pareto tail of index 1.5, which has no variance.
  static Distribution heavy_tailed();

 private:
  std::vector<double> values_;
};

/// Around 1 ms, noise of 5 % with the autocorrelation `phi` between neighbours.
class Autoregression {
 public:
  Autoregression(double phi, const Distribution& standard_normal, Random& random)
      : phi_(phi), innovations_(standard_normal), value_(standard_normal.draw(random)) {}

  double draw(Random& random) {
    value_ = phi_ * value_ + std::sqrt(1 - phi_ * phi_) * innovations_.draw(random);
    return 1e6 * (1 + 0.05 * value_);
  }

 private:
  double phi_;
  const Distribution& innovations_;
  double value_;
};

/// A series of latencies in ns, drawn anew for each experiment.
using Noise = std::function<std::vector<double>(std::size_t count, Random& random)>;

Noise independent(const Distribution& distribution);
Noise autocorrelated(double phi, const Distribution& standard_normal);

}  // namespace edgesmith::test
