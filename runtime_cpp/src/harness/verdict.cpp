#include "verdict.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "condition.hpp"
#include "edgesmith/statistics.hpp"
#include "machine_conditions.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

// Medians of identical processes differ by a few percent from memory layout alone.
constexpr double kProcessSpread = 0.10;
constexpr double kInterquartileShare = 0.20;
constexpr double kOutlierShare = 0.01;

Condition processes_agree(const std::vector<std::vector<std::int64_t>>& steady) {
  if (steady.size() < 2) {
    return {"processes_agree", std::nullopt, "measure in several processes (processes = 3)"};
  }
  std::vector<double> medians;
  medians.reserve(steady.size());
  for (const auto& process : steady) medians.push_back(median({process.begin(), process.end()}));
  const auto [least, most] = std::minmax_element(medians.begin(), medians.end());
  if (*most <= *least * (1 + kProcessSpread)) return {"processes_agree", true, ""};
  return {"processes_agree", false,
          "the medians of the processes differ by more than 10 %: measure in more processes, on a "
          "quieter machine"};
}

Condition low_spread(const std::vector<std::int64_t>& pooled) {
  const auto at = [&](double share) {
    const auto position = share * static_cast<double>(pooled.size() - 1);
    return static_cast<double>(pooled[static_cast<std::size_t>(position)]);
  };
  if (at(0.75) - at(0.25) <= kInterquartileShare * at(0.5)) return {"low_spread", true, ""};
  return {
      "low_spread", false,
      "half of the latencies spread over more than 20 % of the median: stop other work, pin the "
      "frequency"};
}

Condition steady_state(const json& processes) {
  for (const json& process : processes) {
    const json& warmup = process["warmup"];
    if (warmup["kind"] != "no-steady-state") continue;
    if (!warmup.value("drifts", false)) {
      return {"steady_state", false, "a process never became steady: measure longer (min_seconds)"};
    }
    return {"steady_state", false,
            "the latency drifted by " + formatted("%+.1f", 100 * warmup["trend"].get<double>()) +
                " % while a process was measured: wait until temperature and clock frequency "
                "settle, and look for work that comes or goes"};
  }
  return {"steady_state", true, ""};
}

Condition few_outliers(const json& latency) {
  if (latency.is_null()) return {"few_outliers", std::nullopt, "there is no latency to judge"};
  const double share = latency["outliers"]["share"].get<double>();
  if (share <= kOutlierShare) return {"few_outliers", true, ""};
  return {
      "few_outliers", false,
      formatted("%.1f", 100 * share) +
          " % of the latencies lie more than 14.8 median absolute deviations away from the median: "
          "they count in all figures; see what else runs on the device, or judge by p99"};
}

Condition enough_samples(const json& latency, std::size_t count) {
  if (latency.is_null()) return {"enough_samples", std::nullopt, "there is no latency to judge"};
  const json& p99 = latency["percentiles"]["99"];
  if (!p99["value"].is_null()) return {"enough_samples", true, ""};
  return {"enough_samples", false,
          "p99 needs " + std::to_string(p99["samples_needed"].get<std::uint64_t>()) +
              " samples, there are " + std::to_string(count) +
              ": raise min_iterations or processes"};
}

Condition provider_effective(const json& run) {
  if (run["effective"]["provider"] == run["requested"]["provider"]) {
    return {"provider_effective", true, ""};
  }
  return {"provider_effective", false,
          "the requested provider cannot be used here: another was measured, see placement"};
}

bool failed(const std::vector<Condition>& conditions, const std::string& name) {
  return std::any_of(conditions.begin(), conditions.end(), [&](const Condition& condition) {
    return condition.name == name && condition.passed == false;
  });
}

/// What the run needs to be comparable with runs of another day.
bool controlled(const std::vector<Condition>& conditions) {
  const auto passed = [&](const std::string& name) {
    return std::any_of(conditions.begin(), conditions.end(), [&](const Condition& condition) {
      return condition.name == name && condition.passed == true;
    });
  };
  return passed("frequency_controlled") && passed("not_throttled") && passed("no_other_work") &&
         !failed(conditions, "not_on_battery") && !failed(conditions, "one_kind_of_cores") &&
         !failed(conditions, "provider_effective");
}

std::string verdict_name(const std::vector<Condition>& conditions, bool emulated) {
  if (emulated) return "emulated";
  if (failed(conditions, "not_throttled")) return "throttled";
  for (const char* name :
       {"no_other_work", "low_steal", "processes_agree", "low_spread", "steady_state"}) {
    if (failed(conditions, name)) return "noisy";
  }
  return controlled(conditions) ? "valid" : "uncontrolled";
}

}  // namespace

Verdict judge(const Evidence& evidence) {
  const json& processes = evidence.run["processes"];
  const std::vector<Condition> conditions{
      frequency_controlled(processes),
      not_throttled(processes, evidence.device),
      no_other_work(processes),
      low_steal(processes),
      not_on_battery(processes),
      one_kind_of_cores(processes, evidence.device),
      processes_agree(evidence.steady),
      low_spread(evidence.pooled),
      steady_state(processes),
      few_outliers(evidence.run["latency"]),
      enough_samples(evidence.run["latency"], evidence.pooled.size()),
      provider_effective(evidence.run)};
  json list = json::array();
  for (const Condition& condition : conditions) list.push_back(condition_json(condition));
  return {verdict_name(conditions, evidence.emulated), std::move(list), not_readable(processes)};
}

}  // namespace edgesmith::harness
