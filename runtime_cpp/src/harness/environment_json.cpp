#include "environment_json.hpp"

#include "report_json.hpp"

namespace edgesmith::harness {

using nlohmann::json;

namespace {

/// A list of {`name`: ..., "value": ...}.
void put_named(json& object, const char* key, const char* name,
               const Reading<NamedValues>& reading) {
  if (!reading.value) {
    object[key] = nullptr;
    object["reasons"][key] = reading.reason;
    return;
  }
  json& list = object[key] = json::array();
  for (const auto& [which, value] : *reading.value) {
    list.push_back({{name, which}, {"value", value}});
  }
}

void put_kinds(json& object, const Reading<std::vector<CpuKind>>& reading) {
  if (!reading.value) {
    object["cpu_kinds"] = nullptr;
    object["reasons"]["cpu_kinds"] = reading.reason;
    return;
  }
  json& list = object["cpu_kinds"] = json::array();
  for (const CpuKind& kind : *reading.value) {
    json entry = {{"cpus", kind.cpus}};
    if (kind.capacity) entry["capacity"] = *kind.capacity;
    if (kind.max_frequency_khz) entry["max_frequency_khz"] = *kind.max_frequency_khz;
    list.push_back(std::move(entry));
  }
}

void put_energy(json& object, const Reading<std::vector<EnergyCounter>>& reading) {
  if (!reading.value) {
    object["energy_microjoules"] = nullptr;
    object["reasons"]["energy_microjoules"] = reading.reason;
    return;
  }
  json& list = object["energy_microjoules"] = json::array();
  for (const EnergyCounter& counter : *reading.value) {
    list.push_back({{"source", counter.name}, {"value", counter.microjoules}});
  }
}

void put_sensors(json& result, const Sensors& sensors) {
  put_reading(result, "frequency_khz", sensors.frequency_khz);
  put_reading(result, "frequency_limit_khz", sensors.frequency_limit_khz);
  put_named(result, "temperature_millicelsius", "zone", sensors.temperature_millicelsius);
  put_reading(result, "throttle_count", sensors.throttle_count);
  put_reading(result, "cooling_state", sensors.cooling_state);
  put_reading(result, "firmware_throttle_flags", sensors.firmware_throttle_flags);
  put_energy(result, sensors.energy);
  put_named(result, "power_milliwatts", "rail", sensors.power_milliwatts);
  put_reading(result, "steal_ticks", sensors.steal_ticks);
  put_reading(result, "total_ticks", sensors.total_ticks);
}

}  // namespace

json device_json(const DeviceInfo& device, const Reading<std::string>& id, bool emulated) {
  json result = {{"architecture", device.architecture},
                 {"isa_features", device.isa_features},
                 {"cores", device.cores},
                 {"kernel", device.kernel},
                 {"libc", device.libc},
                 {"emulated", emulated},
                 {"reasons", json::object()}};
  put_reading(result, "id", id);
  put_reading(result, "model", device.model);
  put_reading(result, "cpu", device.cpu);
  put_reading(result, "memory_bytes", device.memory_bytes);
  put_reading(result, "governor", device.governor);
  put_reading(result, "virtualization", device.virtualization);
  put_reading(result, "online_cpus", device.online_cpus);
  put_reading(result, "isolated_cpus", device.isolated_cpus);
  put_kinds(result, device.cpu_kinds);
  put_named(result, "passive_trip_millicelsius", "zone", device.passive_trip_millicelsius);
  put_reading(result, "power_mode", device.power_mode);
  return result;
}

json snapshot_json(const Snapshot& snapshot) {
  json result = {{"voluntary_context_switches", snapshot.voluntary_context_switches},
                 {"involuntary_context_switches", snapshot.involuntary_context_switches},
                 {"minor_page_faults", snapshot.minor_page_faults},
                 {"major_page_faults", snapshot.major_page_faults},
                 {"cpu_time_ns", snapshot.cpu_time_ns},
                 {"reasons", json::object()}};
  put_reading(result, "governor", snapshot.governor);
  put_reading(result, "frequency_fixed", snapshot.frequency_fixed);
  put_sensors(result, snapshot.sensors);
  put_reading(result, "load_average_1m", snapshot.load_average_1m);
  put_reading(result, "runnable_tasks", snapshot.runnable_tasks);
  result["counted_cpus"] = snapshot.counted_cpus;
  put_reading(result, "busy_ticks", snapshot.busy_ticks);
  put_reading(result, "sibling_busy_ticks", snapshot.sibling_busy_ticks);
  put_reading(result, "cpu_pressure_us", snapshot.cpu_pressure_us);
  put_reading(result, "on_battery", snapshot.on_battery);
  put_reading(result, "affinity_cpus", snapshot.affinity_cpus);
  return result;
}

json memory_json(const MemoryUse& loaded, const MemoryUse& used) {
  json result = {{"reasons", json::object()}};
  put_reading(result, "after_load_rss_bytes", loaded.resident_bytes);
  put_reading(result, "peak_rss_bytes", used.peak_resident_bytes);
  put_reading(result, "pss_bytes", used.proportional_bytes);
  put_reading(result, "anonymous_bytes", used.anonymous_bytes);
  put_reading(result, "file_bytes", used.file_bytes);
  return result;
}

std::string cpu_list_text(const CpuList& cpus) {
  std::string text;
  for (std::size_t first = 0; first < cpus.size();) {
    std::size_t last = first;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[first]);
    if (last > first) text += "-" + std::to_string(cpus[last]);
    first = last + 1;
  }
  return text;
}

}  // namespace edgesmith::harness
