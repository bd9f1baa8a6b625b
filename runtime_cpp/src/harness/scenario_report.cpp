#include "scenario_report.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "shown.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

// A reading that is off by more than this share of what is timed is no longer noise.
constexpr double kClockShare = 0.01;
constexpr double kMemoryGrowth = 0.01;
constexpr double kLateShare = 0.01;
// Fewer frames done than come, and most of them late: the queue grows.
constexpr double kRateKept = 0.99;
constexpr double kMostLate = 0.5;

/// \param value What was measured; null where it could not be told.
json condition(const char* name, std::optional<bool> passed, const std::string& advice,
               const json& value, double limit, const char* unit) {
  json result = {{"name", name},
                 {"passed", passed ? json(*passed) : json(nullptr)},
                 {"advice", passed == true ? "" : advice},
                 {"limit", limit},
                 {"unit", unit}};
  if (!value.is_null()) result["value"] = value;
  return result;
}

double mean_of(const json& processes, const char* key) {
  double sum = 0;
  for (const json& process : processes) sum += process["scenario"][key].get<double>();
  return sum / static_cast<double>(processes.size());
}

std::uint64_t sum_of(const json& processes, const char* key) {
  std::uint64_t sum = 0;
  for (const json& process : processes) sum += process["scenario"][key].get<std::uint64_t>();
  return sum;
}

/// The largest value of a process; null, with the first reason, if none has one.
void put_largest_delay(json& result, const json& processes, const char* key) {
  json largest = nullptr;
  for (const json& process : processes) {
    const json& value = process["scenario"]["wake_delay"][key];
    if (!value.is_null() && (largest.is_null() || value > largest)) largest = value;
  }
  result[key] = largest;
  if (largest.is_null()) {
    result["reasons"][key] = processes[0]["scenario"]["wake_delay"]["reasons"][key];
  }
}

json fixed_rate_json(const RunSpec& spec, const json& processes) {
  const std::uint64_t frames = sum_of(processes, "frames");
  const std::uint64_t late = sum_of(processes, "late");
  std::uint64_t most = 0;
  for (const json& process : processes) {
    most = std::max(most, process["scenario"]["max_queue"].get<std::uint64_t>());
  }
  json delay = {{"reasons", json::object()}};
  for (const char* key : {"p50_ns", "p99_ns", "max_ns"}) put_largest_delay(delay, processes, key);
  return {{"rate_hz", spec.scenario.rate_hz},
          {"frames", frames},
          {"late", late},
          {"late_share", static_cast<double>(late) / static_cast<double>(frames)},
          {"waiting", sum_of(processes, "waiting")},
          {"max_queue", most},
          {"achieved_hz", mean_of(processes, "achieved_hz")},
          {"wake_delay", std::move(delay)}};
}

/// Growth of a window's value from the first window to the last; null, with a reason, if either
/// has none.
void put_growth(json& result, const json& windows, const char* key, const char* as) {
  const json& first = windows.front()[key];
  const json& last = windows.back()[key];
  if (windows.size() > 1 && first.is_number() && last.is_number() && first.get<double>() > 0) {
    result[as] = last.get<double>() / first.get<double>() - 1;
    return;
  }
  result[as] = nullptr;
  result["reasons"][as] = "the soak was too short for two windows of time, or could not be read";
}

json soak_json(const json& processes) {
  const json& soak = processes[0]["scenario"];
  json result = {{"seconds", soak["seconds"]},
                 {"windows", soak["windows"].size()},
                 {"reasons", json::object()}};
  put_growth(result, soak["windows"], "p50_ns", "latency_growth");
  put_growth(result, soak["windows"], "resident_bytes", "memory_growth");
  return result;
}

json clock_steady(const json& processes) {
  std::uint64_t back = 0;
  for (const json& process : processes) {
    back += process["timing"]["clock"]["steps_back"].get<std::uint64_t>();
  }
  return condition("clock_steady", back == 0,
                   "the clock stepped back: its times mean little; measure with another kernel, or "
                   "after setting another clocksource",
                   back, 0, "steps");
}

json clock_fine(const json& run) {
  const json& clock = run["processes"][0]["timing"]["clock"];
  if (!run["latency"].is_object()) {
    return condition("clock_fine", std::nullopt, "there are no latencies to compare it with",
                     nullptr, kClockShare, "share");
  }
  const double typical = run["latency"]["mean"].get<double>();
  const double error =
      std::max(clock["granularity_ns"].get<double>(), clock["cost_ns"].get<double>());
  const double share = typical > 0 ? error / typical : 1.0;
  return condition("clock_fine", share <= kClockShare,
                   "reading the clock, or its step of " +
                       formatted("%.0f", clock["granularity_ns"].get<double>()) + " ns, is " +
                       formatted("%.1f", 100 * share) +
                       " % of an inference: measure a larger batch, and compare only with reports "
                       "of the same clock",
                   share, kClockShare, "share");
}

json rate_kept(const json& scenario) {
  const double share = scenario["late_share"].get<double>();
  return condition("rate_kept", share <= kLateShare,
                   formatted("%.3g", 100 * share) + " % of the frames were late at " +
                       formatted("%.6g", scenario["rate_hz"].get<double>()) + " Hz, " +
                       formatted("%.6g", scenario["achieved_hz"].get<double>()) +
                       " Hz were achieved: lower the rate, drop frames, or make the model faster" +
                       (why_no_latency(scenario).empty() ? "" : "; " + why_no_latency(scenario)),
                   share, kLateShare, "share");
}

json memory_steady(const json& scenario) {
  const json& growth = scenario["memory_growth"];
  if (growth.is_null()) {
    return condition("memory_steady", std::nullopt, "soak for longer than two seconds", nullptr,
                     kMemoryGrowth, "share");
  }
  return condition("memory_steady", growth.get<double>() <= kMemoryGrowth,
                   "resident memory grew over the soak: soak for longer, and look for a leak if it "
                   "goes on",
                   growth, kMemoryGrowth, "share");
}

}  // namespace

json scenario_json(const RunSpec& spec, const json& processes) {
  json result = json::object();
  switch (spec.scenario.kind) {
    case ScenarioKind::kSingleStream:
      break;
    case ScenarioKind::kOffline:
      result = {{"streams", spec.scenario.streams},
                {"inferences_per_s", mean_of(processes, "inferences_per_s")}};
      break;
    case ScenarioKind::kFixedRate:
      result = fixed_rate_json(spec, processes);
      break;
    case ScenarioKind::kSoak:
      result = soak_json(processes);
      break;
  }
  result["kind"] = scenario_kind_name(spec.scenario.kind);
  return result;
}

json counted_rate(const json& scenario) {
  if (scenario["kind"] == "offline") return scenario["inferences_per_s"];
  if (scenario["kind"] == "fixed-rate") return scenario["achieved_hz"];
  return nullptr;
}

std::string why_no_latency(const json& scenario) {
  if (scenario["kind"] != "fixed-rate") return {};
  const bool kept =
      scenario["achieved_hz"].get<double>() >= kRateKept * scenario["rate_hz"].get<double>();
  if (kept || scenario["late_share"].get<double>() <= kMostLate) return {};
  return "the queue grew as long as was measured: a latency from a frame's arrival would tell "
         "only how long that was";
}

json timing_conditions(const json& run) {
  const json& scenario = run["scenario"];
  json list = json::array({clock_steady(run["processes"]), clock_fine(run)});
  if (scenario["kind"] == "fixed-rate") list.push_back(rate_kept(scenario));
  if (scenario["kind"] == "soak") list.push_back(memory_steady(scenario));
  return list;
}

}  // namespace edgesmith::harness
