/// \file
/// In which way inferences are asked for.
#pragma once

#include <string>

#include "edgesmith/result.hpp"

namespace edgesmith::harness {

enum class ScenarioKind {
  kSingleStream,  ///< One after another, each as soon as the last has ended.
  kOffline,       ///< Several streams at once: throughput.
  kFixedRate,     ///< Frames arrive on a schedule, as from a camera.
  kSoak           ///< A single stream for long, with its memory and latency over time.
};

struct Scenario {
  ScenarioKind kind = ScenarioKind::kSingleStream;
  int streams = 1;     ///< Of kOffline.
  double rate_hz = 0;  ///< Of kFixedRate.
  double seconds = 0;  ///< Of kSoak.

  bool operator==(const Scenario& other) const {
    return kind == other.kind && streams == other.streams && rate_hz == other.rate_hz &&
           seconds == other.seconds;
  }
};

/// From "single-stream", "offline:STREAMS", "fixed-rate:HZ" or "soak:SECONDS".
/// \return kUsage if it is none of them, or a number is out of range.
Result<Scenario> parse_scenario(const std::string& text);

/// The kind alone, such as "fixed-rate".
std::string scenario_kind_name(ScenarioKind kind);

/// The text that parse_scenario() takes.
std::string scenario_name(const Scenario& scenario);

}  // namespace edgesmith::harness
