/// \file
/// Values of the runtime as parts of the report. JSON has no NaN and no infinity: what has no value
/// becomes null, with the reason beside it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "edgesmith/environment.hpp"
#include "edgesmith/result.hpp"
#include "edgesmith/statistics.hpp"

namespace edgesmith::harness {

/// Where and why something failed, without the end of a process.
nlohmann::json error_json(const std::string& stage, const Error& error);

nlohmann::json measured_json(const Measured& measured);
nlohmann::json latency_json(const LatencySummary& summary);

/// Sets `key` to the reading, or to null and the reason under `reasons`.
template <typename T>
void put_reading(nlohmann::json& object, const char* key, const Reading<T>& reading) {
  if (reading.value) {
    object[key] = *reading.value;
  } else {
    object[key] = nullptr;
    object["reasons"][key] = reading.reason;
  }
}

/// JSON text of a document whose strings may come from anywhere: what is not UTF-8 is replaced.
std::string json_text(const nlohmann::json& document);

}  // namespace edgesmith::harness
