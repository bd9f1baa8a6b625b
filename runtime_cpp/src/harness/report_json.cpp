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

std::string json_text(const json& document) {
  return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace edgesmith::harness
