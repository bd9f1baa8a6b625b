#include "fixed_rate.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <ctime>
#include <memory>
#include <optional>

#include "file.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

/// The system's clock, to read and to sleep on.
struct SystemTimer {
  Clock clock = Clock::sleepable();

  std::int64_t now_ns() const { return clock.now_ns(); }

  static void sleep_until_ns(std::int64_t moment) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const timespec when{static_cast<std::time_t>(moment / kSecond),
                        static_cast<long>(moment % kSecond)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
    }
  }
};

/// As many frames as can arrive or be needed.
std::size_t most_frames(const ScheduleGoal& goal) {
  const double arriving = std::ceil(goal.rate_hz * goal.min_seconds) + 1;
  const double wanted = std::max(arriving, static_cast<double>(goal.min_frames));
  return static_cast<std::size_t>(std::clamp(wanted, 1.0, static_cast<double>(kMostFrames)));
}

/// Work on one frame, copying it in included.
Status infer(Stream& stream) {
  Status status = stream.load_next();
  return status ? stream.session.run() : status;
}

/// What the first inferences do slower would otherwise make later frames wait.
Status lead_in(Stream& stream, const SystemTimer& timer, double min_seconds) {
  constexpr int kLeast = 5;
  const auto limit_ns = static_cast<std::int64_t>(std::min(0.5, 0.1 * min_seconds) * 1e9);
  const std::int64_t start = timer.now_ns();
  for (int i = 0; i < kLeast || timer.now_ns() - start < limit_ns; ++i) {
    if (Status status = infer(stream); !status) return status;
  }
  return Done{};
}

Status write_frames(int fd, const std::vector<Frame>& frames, std::size_t count) {
  std::vector<std::int64_t> column(count);
  for (const auto member : {&Frame::latency_ns, &Frame::service_ns}) {
    std::transform(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(count),
                   column.begin(), [member](const Frame& frame) { return frame.*member; });
    Status status = write_all(fd, column.data(), count * sizeof(column[0]));
    if (!status) return status;
  }
  return Done{};
}

json wake_json(const LatencyHistogram& delays) {
  json result = {{"count", delays.count()}, {"reasons", json::object()}};
  const auto put = [&](const char* key, std::optional<std::int64_t> value) {
    result[key] = value ? json(*value) : json(nullptr);
    if (!value) result["reasons"][key] = "too few frames were waited for";
  };
  put("p50_ns", delays.quantile(0.5));
  put("p99_ns", delays.quantile(0.99));
  put("max_ns", delays.count() > 0 ? std::optional(delays.maximum()) : std::nullopt);
  return result;
}

}  // namespace

Result<json> run_fixed_rate(Stream& stream, const ScheduleGoal& goal, int fd) {
  const SystemTimer timer;
  std::vector<Frame> frames(most_frames(goal));
  const auto wake_delays = std::make_unique<LatencyHistogram>();
  if (Status status = lead_in(stream, timer, goal.min_seconds); !status) return status.error();
  const auto work = [&stream] { return infer(stream); };
  Result<ScheduleOutcome> outcome = run_schedule(timer, goal, work, frames, *wake_delays);
  if (!outcome) return outcome.error();
  Status written = write_frames(fd, frames, static_cast<std::size_t>(outcome->done));
  if (!written) return written.error();
  return json{{"kind", "fixed-rate"},
              {"rate_hz", goal.rate_hz},
              {"frames", outcome->done},
              {"late", outcome->late},
              {"waiting", outcome->waiting},
              {"max_queue", outcome->max_queue},
              {"achieved_hz", outcome->achieved_hz},
              {"wake_delay", wake_json(*wake_delays)}};
}

}  // namespace edgesmith::harness
