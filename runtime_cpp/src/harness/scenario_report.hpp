/// \file
/// What a run's scenario found, over its processes, and the conditions that go with it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "run_spec.hpp"

namespace edgesmith::harness {

/// The report's `scenario` of a run: the processes put together. Only `kind` for a single stream.
/// \param processes The run's processes in the report, all without error.
nlohmann::json scenario_json(const RunSpec& spec, const nlohmann::json& processes);

/// Inferences per second that the scenario itself counted; null where latencies tell it.
nlohmann::json counted_rate(const nlohmann::json& scenario);

/// Why the latencies of a run tell nothing; empty where they do. Frames that come faster than the
/// model works wait the longer, the longer is measured.
std::string why_no_latency(const nlohmann::json& scenario);

/// Conditions on the clock and on the scenario, as the report lists them.
/// \param run The run's entry with its processes, latency and scenario.
nlohmann::json timing_conditions(const nlohmann::json& run);

}  // namespace edgesmith::harness
