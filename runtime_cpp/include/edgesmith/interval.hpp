/// \file
/// A value and how sure it is.
#pragma once

#include <optional>
#include <string>

namespace edgesmith {

/// A 95 % confidence interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// A value with its interval; without it, `reason` says why it is missing.
struct Measured {
  std::optional<double> value;
  std::optional<Interval> ci95;
  std::string reason;
};

}  // namespace edgesmith
