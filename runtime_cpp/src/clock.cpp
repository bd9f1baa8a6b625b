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

/// The least of several rounds: interruptions only ever add.
double reading_cost_ns(int id) {
  constexpr int kRounds = 10;
  constexpr int kReadings = 500;
  double best = 1e12;
  for (int round = 0; round < kRounds; ++round) {
    const std::int64_t start = read_ns(id);
    for (int i = 1; i < kReadings; ++i) read_ns(id);
    best = std::min(best, static_cast<double>(read_ns(id) - start) / kReadings);
  }
  return best;
}

}  // namespace

Clock Clock::cheapest() {
  const double monotonic = reading_cost_ns(CLOCK_MONOTONIC);
  const double raw = reading_cost_ns(CLOCK_MONOTONIC_RAW);
  // RAW has to win clearly, so that runs on one machine do not alternate between the two.
  return raw < 0.8 * monotonic ? Clock(CLOCK_MONOTONIC_RAW, raw)
                               : Clock(CLOCK_MONOTONIC, monotonic);
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
