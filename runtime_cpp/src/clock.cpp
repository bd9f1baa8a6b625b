#include "edgesmith/clock.hpp"

#include <algorithm>
#include <array>
#include <ctime>

namespace edgesmith {
namespace {

std::int64_t read_ns(int id) {
  timespec time{};
  ::clock_gettime(static_cast<clockid_t>(id), &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

constexpr int kReadings = 500;

}  // namespace

Clock::Quality Clock::measure(int id) {
  constexpr int kRounds = 10;
  Quality quality{1e12, 0, 0};
  std::array<std::int64_t, kReadings> readings{};
  for (int round = 0; round < kRounds; ++round) {
    for (std::int64_t& reading : readings) reading = read_ns(id);
    // The least of the rounds: interruptions only ever add.
    quality.cost_ns = std::min(
        quality.cost_ns, static_cast<double>(readings.back() - readings[0]) / (kReadings - 1));
    for (std::size_t i = 1; i < readings.size(); ++i) {
      const std::int64_t step = readings[i] - readings[i - 1];
      if (step < 0) ++quality.steps_back;
      if (step > 0 && (quality.granularity_ns == 0 || step < quality.granularity_ns)) {
        quality.granularity_ns = step;
      }
    }
  }
  return quality;
}

Clock Clock::cheapest() {
  const Clock monotonic(CLOCK_MONOTONIC);
  const Clock raw(CLOCK_MONOTONIC_RAW);
  if (monotonic.steps_back() != raw.steps_back()) {
    return monotonic.steps_back() < raw.steps_back() ? monotonic : raw;
  }
  // RAW has to win clearly, so that runs on one machine do not alternate between the two.
  return raw.cost_ns() < 0.8 * monotonic.cost_ns() ? raw : monotonic;
}

Clock Clock::sleepable() { return Clock(CLOCK_MONOTONIC); }

std::optional<Clock> Clock::named(std::string_view name) {
  if (name == "CLOCK_MONOTONIC") return Clock(CLOCK_MONOTONIC);
  if (name == "CLOCK_MONOTONIC_RAW") return Clock(CLOCK_MONOTONIC_RAW);
  return std::nullopt;
}

std::int64_t Clock::now_ns() const { return read_ns(id_); }

std::string Clock::name() const {
  return id_ == CLOCK_MONOTONIC_RAW ? "CLOCK_MONOTONIC_RAW" : "CLOCK_MONOTONIC";
}

std::int64_t Clock::resolution_ns() const {
  timespec time{};
  ::clock_getres(static_cast<clockid_t>(id_), &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::string utc_timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  static_cast<void>(std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts));
  return text.data();
}

}  // namespace edgesmith
