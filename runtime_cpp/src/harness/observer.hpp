/// \file
/// Watches the machine from outside while a measuring process times inferences.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "edgesmith/clock.hpp"
#include "edgesmith/environment.hpp"

namespace edgesmith::harness {

class Observer {
 public:
  /// The reading of sensors costs some 0.1 ms; ten a second do not disturb another core.
  static constexpr int kIntervalMs = 100;

  explicit Observer(const Environment& environment)
      : environment_(environment), clock_(Clock::cheapest()) {}

  /// Observes only while active; the first observation is made at once.
  void set_active(bool active);
  void observe_if_due();

  /// The report's environment.during.
  /// \param own The measuring process's environment with "before" and "after", for its counters.
  nlohmann::json result(const nlohmann::json& own) const;

 private:
  void observe();

  template <typename T>
  struct Range {
    std::optional<T> minimum;
    std::optional<T> maximum;
    std::string reason = "the timed part ended before it could be observed";
    void add(T value);
  };

  const Environment& environment_;
  Clock clock_;
  bool active_ = false;
  std::int64_t last_ns_ = 0;
  std::uint64_t observations_ = 0;
  Range<std::uint64_t> frequency_;
  Range<std::int64_t> temperature_;
  Range<std::uint64_t> throttle_;
  Range<std::uint64_t> steal_;
  Range<std::uint64_t> total_;
};

}  // namespace edgesmith::harness
