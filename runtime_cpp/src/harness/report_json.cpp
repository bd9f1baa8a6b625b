#include "report_json.hpp"

#include <cmath>

namespace edgesmith::harness {

using nlohmann::json;

json error_json(const std::string& stage, const Error& error) {
  return {{"stage", stage},
          {"message", error.message},
          {"code", exit_code(error)},
          {"exit_status", nullptr},
          {"signal", nullptr}};
}

json measured_json(const Measured& measured) {
  json result = {{"value", nullptr}, {"ci95", nullptr}};
  std::string reason = measured.reason;
  if (measured.value && std::isfinite(*measured.value)) {
    result["value"] = *measured.value;
  } else if (reason.empty()) {
    reason = "the value is not finite";
  }
  if (measured.ci95 && std::isfinite(measured.ci95->low) && std::isfinite(measured.ci95->high)) {
    result["ci95"] = {measured.ci95->low, measured.ci95->high};
  } else if (reason.empty()) {
    reason = "no interval can be given";
  }
  if (!reason.empty()) result["reason"] = reason;
  return result;
}

json latency_json(const LatencySummary& summary) {
  const auto unbounded = [](std::uint64_t count, const Percentile& percentile) {
    std::string samples = std::to_string(count) + " samples";
    if (percentile.effective_count < count) {
      samples += ", worth " + std::to_string(percentile.effective_count) + " independent ones,";
    }
    return samples + " do not bound this percentile";
  };
  json percentiles = json::object();
  for (const Percentile& percentile : summary.percentiles) {
    json& entry = percentiles[percentile.name];
    if (percentile.value && percentile.ci95) {
      entry = {{"value", *percentile.value},
               {"ci95", {percentile.ci95->low, percentile.ci95->high}},
               {"effective_count", percentile.effective_count}};
    } else {
      entry = {{"value", nullptr},
               {"ci95", nullptr},
               {"effective_count", percentile.effective_count},
               {"samples_needed", percentile.samples_needed},
               {"reason", unbounded(summary.count, percentile)}};
    }
  }
  json result = {
      {"unit", "ns"},
      {"count", summary.count},
      {"mean", summary.mean},
      {"stddev", nullptr},
      {"min", summary.minimum},
      {"max", summary.maximum},
      {"percentiles", std::move(percentiles)},
      {"outliers", {{"count", summary.outliers.count}, {"share", summary.outliers.share}}},
      {"histogram",
       {{"scale", "log"},
        {"edges", summary.histogram.edges},
        {"counts", summary.histogram.counts}}}};
  if (summary.stddev) {
    result["stddev"] = *summary.stddev;
  } else {
    result["reasons"]["stddev"] = "one sample has no spread";
  }
  return result;
}

json snapshot_json(const Snapshot& snapshot) {
  json result = {{"voluntary_context_switches", snapshot.voluntary_context_switches},
                 {"involuntary_context_switches", snapshot.involuntary_context_switches},
                 {"minor_page_faults", snapshot.minor_page_faults},
                 {"major_page_faults", snapshot.major_page_faults},
                 {"reasons", json::object()}};
  put_reading(result, "governor", snapshot.governor);
  put_reading(result, "frequency_khz", snapshot.frequency_khz);
  put_reading(result, "throttle_count", snapshot.throttle_count);
  put_reading(result, "load_average_1m", snapshot.load_average_1m);
  put_reading(result, "steal_ticks", snapshot.steal_ticks);
  put_reading(result, "total_ticks", snapshot.total_ticks);
  put_reading(result, "affinity_cpus", snapshot.affinity_cpus);
  if (snapshot.temperature_millicelsius.value) {
    json& zones = result["temperature_millicelsius"] = json::array();
    for (const auto& [zone, value] : *snapshot.temperature_millicelsius.value) {
      zones.push_back({{"zone", zone}, {"value", value}});
    }
  } else {
    result["temperature_millicelsius"] = nullptr;
    result["reasons"]["temperature_millicelsius"] = snapshot.temperature_millicelsius.reason;
  }
  return result;
}

json memory_json(const Reading<std::uint64_t>& after_load, const Reading<std::uint64_t>& peak) {
  json result = {{"reasons", json::object()}};
  put_reading(result, "after_load_rss_bytes", after_load);
  put_reading(result, "peak_rss_bytes", peak);
  return result;
}

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
  return result;
}

std::string json_text(const json& document) {
  return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace edgesmith::harness
