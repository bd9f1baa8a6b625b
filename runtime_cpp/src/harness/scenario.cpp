#include "scenario.hpp"

#include <cmath>

#include "numbers.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

constexpr double kMostStreams = 256;
constexpr double kLeastRateHz = 0.001;
constexpr double kMostRateHz = 1e6;
constexpr double kMostSeconds = 604800;

Error not_known(const std::string& text) {
  return {ErrorCode::kUsage,
          "scenario '" + text +
              "' is not known; known: single-stream, offline:STREAMS (1 to 256), fixed-rate:HZ "
              "(0.001 to 1000000), soak:SECONDS (up to 604800)"};
}

}  // namespace

Result<Scenario> parse_scenario(const std::string& text) {
  Scenario scenario;
  if (text == "single-stream") return scenario;
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return not_known(text);
  const std::string kind = text.substr(0, colon);
  const std::optional<double> number = real_number(text.substr(colon + 1));
  if (!number) return not_known(text);
  if (kind == "offline" && *number >= 1 && *number <= kMostStreams &&
      *number == std::floor(*number)) {
    scenario.kind = ScenarioKind::kOffline;
    scenario.streams = static_cast<int>(*number);
  } else if (kind == "fixed-rate" && *number >= kLeastRateHz && *number <= kMostRateHz) {
    scenario.kind = ScenarioKind::kFixedRate;
    scenario.rate_hz = *number;
  } else if (kind == "soak" && *number > 0 && *number <= kMostSeconds) {
    scenario.kind = ScenarioKind::kSoak;
    scenario.seconds = *number;
  } else {
    return not_known(text);
  }
  return scenario;
}

std::string scenario_kind_name(ScenarioKind kind) {
  switch (kind) {
    case ScenarioKind::kSingleStream:
      return "single-stream";
    case ScenarioKind::kOffline:
      return "offline";
    case ScenarioKind::kFixedRate:
      return "fixed-rate";
    case ScenarioKind::kSoak:
      return "soak";
  }
  return "single-stream";
}

std::string scenario_name(const Scenario& scenario) {
  std::string name = scenario_kind_name(scenario.kind);
  switch (scenario.kind) {
    case ScenarioKind::kSingleStream:
      break;
    case ScenarioKind::kOffline:
      name += ":" + std::to_string(scenario.streams);
      break;
    case ScenarioKind::kFixedRate:
      name += ":" + formatted("%.10g", scenario.rate_hz);
      break;
    case ScenarioKind::kSoak:
      name += ":" + formatted("%.10g", scenario.seconds);
      break;
  }
  return name;
}

}  // namespace edgesmith::harness
