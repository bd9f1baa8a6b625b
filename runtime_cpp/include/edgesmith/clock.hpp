/// \file
/// The clock that inferences are timed with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace edgesmith {

/// A monotonic clock, chosen for its cost. Of what Linux offers only CLOCK_MONOTONIC and
/// CLOCK_MONOTONIC_RAW are sound here: the wall clock may step, the coarse ones tick at 250 Hz, and
/// the bare cycle counter has no unit. All threads and processes of a machine share one time.
class Clock {
 public:
  /// Measures both and takes the cheaper to read; one that steps back is not taken.
  static Clock cheapest();

  /// CLOCK_MONOTONIC, the only one of them that can also be slept on.
  static Clock sleepable();

  /// The one that name() gave. Nothing for other texts.
  static std::optional<Clock> named(std::string_view name);

  /// Nanoseconds since some fixed moment.
  std::int64_t now_ns() const;

  std::string name() const;
  std::int64_t resolution_ns() const;                  ///< As the kernel declares it.
  double cost_ns() const { return quality_.cost_ns; }  ///< Time that one reading takes.

  /// Least difference between two readings that differ: what the clock really resolves.
  std::int64_t granularity_ns() const { return quality_.granularity_ns; }
  std::uint64_t steps_back() const { return quality_.steps_back; }  ///< Seen while measuring it.

 private:
  struct Quality {
    double cost_ns = 0;
    std::int64_t granularity_ns = 0;
    std::uint64_t steps_back = 0;
  };

  explicit Clock(int id) : id_(id), quality_(measure(id)) {}
  static Quality measure(int id);

  int id_;
  Quality quality_;
};

/// The current UTC time as "2026-01-31T12:00:00Z".
std::string utc_timestamp();

}  // namespace edgesmith
