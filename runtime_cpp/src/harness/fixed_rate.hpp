/// \file
/// The fixed-rate scenario on a real clock.
#pragma once

#include <nlohmann/json.hpp>

#include "schedule.hpp"
#include "series.hpp"

namespace edgesmith::harness {

/// At most so many frames are worked on: their times are kept in this process's own memory.
constexpr std::uint64_t kMostFrames = std::uint64_t{1} << 17;

/// Works on frames that arrive at `goal.rate_hz`, after a lead-in as fast as possible. The sleep is
/// an absolute one on CLOCK_MONOTONIC, which also times this scenario.
/// \param fd Gets the latencies of all frames, then their service times.
/// \return the scenario's part of a process in the report.
Result<nlohmann::json> run_fixed_rate(Stream& stream, const ScheduleGoal& goal, int fd);

}  // namespace edgesmith::harness
