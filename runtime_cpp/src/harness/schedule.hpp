/// \file
/// Frames that arrive on a schedule and are worked on one after another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "edgesmith/result.hpp"
#include "latency_histogram.hpp"

namespace edgesmith::harness {

struct ScheduleGoal {
  double rate_hz = 0;
  double min_seconds = 0;
  std::uint64_t min_frames = 1;
};

/// One frame that was worked on.
struct Frame {
  std::int64_t latency_ns = 0;  ///< From its scheduled arrival to its end, waiting included.
  std::int64_t service_ns = 0;  ///< From when work on it began, copying it in included.
};

struct ScheduleOutcome {
  std::uint64_t done = 0;
  std::uint64_t late = 0;       ///< Of those done: not ended when the next frame arrived.
  std::uint64_t waiting = 0;    ///< Arrived by the end and not worked on.
  std::uint64_t max_queue = 0;  ///< Most frames that had arrived and were not done, at any start.
  double achieved_hz = 0;
};

/// When frame `number` arrives, after the first.
inline std::int64_t arrival_ns(double rate_hz, std::uint64_t number) {
  return std::llround(static_cast<double>(number) * 1e9 / rate_hz);
}

/// Takes every frame in the order of arrival, none is dropped. A frame that comes in while another
/// is worked on waits, and its waiting counts: the schedule does not wait for the model.
/// \param timer Has now_ns() and sleep_until_ns().
/// \param work Does one frame and returns a Status.
/// \param frames As many as it holds are worked on at most.
/// \param wake_delays How much too late the timer woke, of the frames that were waited for.
template <typename Timer, typename Work>
Result<ScheduleOutcome> run_schedule(const Timer& timer, const ScheduleGoal& goal, Work work,
                                     std::vector<Frame>& frames, LatencyHistogram& wake_delays) {
  ScheduleOutcome outcome;
  const std::int64_t start = timer.now_ns();
  const auto arrived_by = [&](std::int64_t now) {
    return static_cast<std::uint64_t>(static_cast<double>(now - start) * goal.rate_hz / 1e9) + 1;
  };
  std::int64_t end = start;
  std::int64_t next = start;
  while (outcome.done < frames.size()) {
    const std::int64_t arrival = next;
    // Work on a frame that waits begins where the last one ended.
    std::int64_t begin = end;
    if (begin < arrival) {
      timer.sleep_until_ns(arrival);
      begin = timer.now_ns();
      wake_delays.add(begin - arrival);
    }
    const std::uint64_t arrived = arrived_by(begin);
    if (arrived > outcome.done) {
      outcome.max_queue = std::max(outcome.max_queue, arrived - outcome.done);
    }
    if (Status status = work(); !status) return status.error();
    end = timer.now_ns();
    frames[static_cast<std::size_t>(outcome.done++)] = {end - arrival, end - begin};
    next = start + arrival_ns(goal.rate_hz, outcome.done);
    if (end > next) ++outcome.late;
    const bool long_enough =
        static_cast<double>(std::max(end, next) - start) >= goal.min_seconds * 1e9;
    if (long_enough && outcome.done >= goal.min_frames) break;
  }
  if (end > next) outcome.waiting = std::max(arrived_by(end), outcome.done) - outcome.done;
  outcome.max_queue = std::max(outcome.max_queue, outcome.waiting);
  outcome.achieved_hz =
      static_cast<double>(outcome.done) * 1e9 / static_cast<double>(std::max(end, next) - start);
  return outcome;
}

}  // namespace edgesmith::harness
