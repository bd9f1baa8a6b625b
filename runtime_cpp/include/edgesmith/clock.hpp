/// \file
/// The clock that inferences are timed with.
#pragma once

#include <cstdint>
#include <string>

namespace edgesmith {

/// A monotonic clock, chosen once for its cost.
class Clock {
 public:
  /// Measures CLOCK_MONOTONIC and CLOCK_MONOTONIC_RAW and takes the cheaper to read.
  static Clock cheapest();

  /// Nanoseconds since some fixed moment.
  std::int64_t now_ns() const;

  std::string name() const;
  std::int64_t resolution_ns() const;
  double cost_ns() const { return cost_ns_; }  ///< Time that one reading takes.

 private:
  Clock(int id, double cost_ns) : id_(id), cost_ns_(cost_ns) {}

  int id_;
  double cost_ns_;
};

/// The current UTC time as "2026-01-31T12:00:00Z".
std::string utc_timestamp();

}  // namespace edgesmith
