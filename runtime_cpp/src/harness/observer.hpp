/// \file
/// Watches the machine from outside while a measuring process times inferences.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "edgesmith/clock.hpp"
#include "edgesmith/environment.hpp"
#include "gpu_observer.hpp"

namespace edgesmith::harness {

class Observer {
 public:
  static constexpr int kIntervalMs = 100;

  /// \param provider That of the run; one of NVIDIA's has the GPU observed, too.
  explicit Observer(const Environment& environment, const std::string& provider = "cpu")
      : environment_(environment), clock_(Clock::cheapest()) {
    if (provider == "cuda" || provider == "tensorrt") gpu_.emplace();
  }

  /// Observes only while active; the first observation is made at once.
  void set_active(bool active);
  /// Observes ten times a second, less often where that would take more than 1 % of a CPU.
  void observe_if_due();
  void observe();

  /// The report's environment.during.
  /// \param own The measuring process's environment with "before" and "after", for its counters.
  nlohmann::json result(const nlohmann::json& own) const;

 private:
  template <typename T>
  struct Range {
    std::optional<T> minimum;
    std::optional<T> maximum;
    std::string reason = "the timed part ended before it could be observed";
    void add(T value);
    void note(const Reading<T>& reading);
  };

  void note_energy(const Sensors& now);
  void note_power(const Sensors& now);
  void put_heat(nlohmann::json& result) const;
  void put_energy(nlohmann::json& result) const;

  const Environment& environment_;
  Clock clock_;
  bool active_ = false;
  std::int64_t last_ns_ = 0;
  std::int64_t interval_ns_ = std::int64_t{kIntervalMs} * 1'000'000;
  std::uint64_t observations_ = 0;
  std::uint64_t cost_ns_ = 0;
  Range<std::uint64_t> frequency_;
  Range<std::uint64_t> frequency_limit_;
  Range<std::int64_t> temperature_;
  Range<std::uint64_t> throttle_;
  Range<std::uint64_t> cooling_;
  Range<std::uint64_t> firmware_;
  std::uint64_t firmware_seen_ = 0;
  Range<std::uint64_t> steal_;
  Range<std::uint64_t> total_;
  Range<std::int64_t> power_;
  std::int64_t last_power_milliwatts_ = 0;
  std::map<std::string, std::uint64_t> last_energy_;
  std::optional<double> energy_joules_;
  std::string energy_reason_ = "the timed part ended before it could be observed";
  std::string energy_source_;
  std::optional<GpuObserver> gpu_;
};

}  // namespace edgesmith::harness
