#include "machine_conditions.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "edgesmith/environment.hpp"
#include "environment_json.hpp"
#include "nvml.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

constexpr double kStealShare = 0.01;

/// What other work may take, as a number of busy CPUs. A busy neighbour shares caches, memory and
/// the turbo's budget: one CPU is always too much, and a twentieth of a small machine.
constexpr double kOtherWorkShare = 0.05;
constexpr double kOtherWorkMost = 0.5;

const json& before(const json& process) { return process["environment"]["before"]; }
const json& during(const json& process) { return process["environment"]["during"]; }
const json& after(const json& process) { return process["environment"]["after"]; }

bool has(const json& object, const char* key) {
  return object.is_object() && object.contains(key) && !object[key].is_null();
}

/// The bits of the Raspberry Pi's firmware in words, and what to do.
std::string firmware_words(std::uint64_t flags) {
  std::string words;
  const auto add = [&](std::uint64_t bit, const char* text) {
    if ((flags & bit) != 0) words += (words.empty() ? "" : ", ") + std::string(text);
  };
  add(kUnderVoltage, "the supply voltage was too low (use a stronger power supply and cable)");
  add(kFrequencyCapped, "the firmware capped the frequency");
  add(kFirmwareThrottled, "the firmware throttled the CPU");
  add(kSoftTemperatureLimit, "the CPU reached its soft temperature limit (cool it)");
  return words;
}

constexpr std::uint64_t kFirmwareNow =
    kUnderVoltage | kFrequencyCapped | kFirmwareThrottled | kSoftTemperatureLimit;

/// What the firmware did while this process ran: what it says at any time, and what it newly
/// remembers.
std::uint64_t firmware_flags(const json& process) {
  const char* key = "firmware_throttle_flags";
  if (!has(before(process), key) || !has(after(process), key)) return 0;
  const auto first = before(process)[key].get<std::uint64_t>();
  const auto last = after(process)[key].get<std::uint64_t>();
  std::uint64_t flags = first | last;
  if (has(during(process), key)) flags |= during(process)[key].get<std::uint64_t>();
  return (flags & kFirmwareNow) | (((last & ~first) >> kStickyShift) & kFirmwareNow);
}

bool counter_rose(const json& process) {
  const char* key = "throttle_count";
  return has(before(process), key) && has(after(process), key) &&
         after(process)[key] > before(process)[key];
}

bool kernel_cooled(const json& process) {
  for (const json* moment : {&before(process), &after(process)}) {
    if (has(*moment, "cooling_state") && (*moment)["cooling_state"] > 0) return true;
  }
  return has(during(process), "cooling_state_max") && during(process)["cooling_state_max"] > 0;
}

bool limit_fell(const json& process) {
  const char* key = "frequency_limit_khz";
  if (has(before(process), key) && has(after(process), key)) {
    const json& first = before(process)[key];
    const json& last = after(process)[key];
    for (std::size_t i = 0; i < std::min(first.size(), last.size()); ++i) {
      if (last[i] < first[i]) return true;
    }
  }
  const char* sum = "frequency_limit_sum_khz";
  return has(during(process), sum) && during(process)[sum]["min"] < during(process)[sum]["max"];
}

/// The zone of a CPU that reached the temperature at which the kernel slows it down, or "".
std::string hot_zone(const json& process, const json& device) {
  if (!has(device, "passive_trip_millicelsius")) return {};
  std::map<std::string, std::int64_t> trips;
  for (const json& trip : device["passive_trip_millicelsius"]) {
    trips[trip["zone"].get<std::string>()] = trip["value"].get<std::int64_t>();
  }
  for (const json* moment : {&before(process), &after(process)}) {
    if (!has(*moment, "temperature_millicelsius")) continue;
    for (const json& zone : (*moment)["temperature_millicelsius"]) {
      const auto name = zone["zone"].get<std::string>();
      const bool of_cpu = name.find("cpu") != std::string::npos ||
                          name.find("CPU") != std::string::npos ||
                          name.find("soc") != std::string::npos || name == "x86_pkg_temp";
      const auto trip = trips.find(name);
      if (of_cpu && trip != trips.end() && zone["value"] >= trip->second) return name;
    }
  }
  return {};
}

bool gpu_slowed(const json& process) {
  if (!has(during(process), "gpu") || !has(during(process)["gpu"], "clock_event_reasons")) {
    return false;
  }
  constexpr std::uint64_t kTrouble =
      kGpuHardwareSlowdown | kGpuSoftwareThermal | kGpuHardwareThermal | kGpuPowerBrake;
  return (during(process)["gpu"]["clock_event_reasons"].get<std::uint64_t>() & kTrouble) != 0;
}

/// Why a process was throttled, or "".
std::string throttled_by(const json& process, const json& device) {
  if (const std::uint64_t flags = firmware_flags(process); flags != 0) {
    return firmware_words(flags);
  }
  if (gpu_slowed(process)) {
    return "the driver slowed the GPU down against heat or for lack of power: cool it, or look at "
           "its power supply";
  }
  if (counter_rose(process)) return "the CPU was throttled by heat: cool it, or pause between runs";
  if (kernel_cooled(process)) {
    return "the kernel slowed the CPU down against heat: cool it, or pause between runs";
  }
  if (limit_fell(process)) {
    return "the highest allowed CPU frequency was lowered meanwhile: look for heat, a power limit "
           "or a power-saving service";
  }
  if (const std::string zone = hot_zone(process, device); !zone.empty()) {
    return "thermal zone " + zone +
           " reached the temperature at which the kernel slows the CPU "
           "down: cool it, or pause between runs";
  }
  return {};
}

bool throttling_readable(const json& process) {
  return has(before(process), "throttle_count") || has(before(process), "cooling_state") ||
         has(before(process), "firmware_throttle_flags");
}

}  // namespace

Condition frequency_controlled(const json& processes) {
  for (const json& process : processes) {
    const json& governor = before(process)["governor"];
    const bool fixed = before(process).value("frequency_fixed", json(nullptr)) == true;
    if (fixed || governor == "performance") continue;
    if (governor.is_null()) {
      return {"frequency_controlled", std::nullopt,
              "the governor cannot be read here; compare only runs of this machine that were taken "
              "close together"};
    }
    return {"frequency_controlled", false,
            "set the CPU frequency governor to performance for the measurement"};
  }
  return {"frequency_controlled", true, ""};
}

Condition not_throttled(const json& processes, const json& device) {
  bool readable = true;
  bool happened_before = false;
  for (const json& process : processes) {
    if (std::string reason = throttled_by(process, device); !reason.empty()) {
      return {"not_throttled", false, std::move(reason)};
    }
    readable = readable && throttling_readable(process);
    happened_before = happened_before || (has(before(process), "firmware_throttle_flags") &&
                                          before(process)["firmware_throttle_flags"] > 0);
  }
  if (!readable) {
    return {"not_throttled", std::nullopt, "no throttle counter can be read here"};
  }
  return {"not_throttled", true,
          happened_before ? "not in this run, but since the machine started" : ""};
}

Condition no_other_work(const json& processes) {
  std::optional<Finding> worst;
  std::string reason = "the CPU time of other processes is not known";
  for (const json& process : processes) {
    if (!has(during(process), "other_cpus_busy")) {
      if (during(process).is_object() && during(process).contains("reasons")) {
        reason = during(process)["reasons"].value("other_cpus_busy", reason);
      }
      return {"no_other_work", std::nullopt, reason};
    }
    const auto cpus = before(process)["counted_cpus"].get<double>();
    const double allowed = std::min(kOtherWorkMost, kOtherWorkShare * std::max(1.0, cpus));
    const auto error = during(process)["other_cpus_busy_error"].get<double>();
    const Finding found{during(process)["other_cpus_busy"].get<double>(), allowed + error, "CPUs"};
    if (!worst || found.value - found.limit > worst->value - worst->limit) worst = found;
  }
  if (!worst) return {"no_other_work", std::nullopt, reason};
  if (worst->value <= worst->limit) return {"no_other_work", true, "", worst};
  return {"no_other_work", false,
          "other processes took CPU time during the measurement: stop them and measure again",
          worst};
}

Condition low_steal(const json& processes) {
  std::optional<double> largest;
  for (const json& process : processes) {
    if (!has(during(process), "steal_share")) continue;
    largest = std::max(largest.value_or(0.0), during(process)["steal_share"].get<double>());
  }
  if (!largest) {
    return {"low_steal", std::nullopt, "the time stolen by a hypervisor is not known"};
  }
  const Finding finding{*largest, kStealShare, "share"};
  if (*largest <= kStealShare) return {"low_steal", true, "", finding};
  return {"low_steal", false, "the hypervisor gave CPU time to others: measure on a quieter host",
          finding};
}

Condition not_on_battery(const json& processes) {
  for (const json& process : processes) {
    for (const json* moment : {&before(process), &after(process)}) {
      if (!has(*moment, "on_battery")) {
        return {"not_on_battery", std::nullopt, "the power supply cannot be read here"};
      }
      if ((*moment)["on_battery"] == true) {
        return {"not_on_battery", false,
                "the machine ran on its battery, which limits the CPU: connect the power supply"};
      }
    }
  }
  return {"not_on_battery", true, ""};
}

Condition one_kind_of_cores(const json& processes, const json& device) {
  const char* name = "one_kind_of_cores";
  if (!has(device, "cpu_kinds")) {
    return {name, std::nullopt, "whether the cores are alike cannot be read here"};
  }
  const json& kinds = device["cpu_kinds"];
  for (const json& process : processes) {
    if (kinds.size() < 2) break;
    if (!has(before(process), "affinity_cpus")) {
      return {name, std::nullopt, "on which cores the process may run cannot be read here"};
    }
    const auto allowed = before(process)["affinity_cpus"].get<std::set<std::uint64_t>>();
    const auto used = std::count_if(kinds.begin(), kinds.end(), [&](const json& kind) {
      const auto cpus = kind["cpus"].get<CpuList>();
      return std::any_of(cpus.begin(), cpus.end(),
                         [&](std::uint64_t cpu) { return allowed.count(cpu) != 0; });
    });
    if (used < 2) continue;
    return {
        name, false,
        "fast and slow cores were both allowed: pin the measurement to one kind, such as CPUs " +
            cpu_list_text(kinds[0]["cpus"].get<CpuList>())};
  }
  return {name, true, ""};
}

std::vector<std::string> not_readable(const json& processes) {
  static const std::vector<std::pair<const char*, const char*>> kDeciding{
      {"governor", "frequency governor"},
      {"frequency_khz", "CPU frequency"},
      {"temperature_millicelsius", "temperature"},
      {"busy_ticks", "CPU time of other processes"},
      {"on_battery", "power supply"}};
  std::vector<std::string> missing;
  if (processes.empty()) return missing;
  const json& process = processes[0];
  for (const auto& [key, words] : kDeciding) {
    if (!has(before(process), key)) missing.emplace_back(words);
  }
  if (!throttling_readable(process)) missing.emplace_back("throttling");
  return missing;
}

}  // namespace edgesmith::harness
