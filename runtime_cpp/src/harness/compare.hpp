/// \file
/// The report's comparisons.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "run_report.hpp"

namespace edgesmith::harness {

/// Compares every other variant with fp32, or with the first one where there is no fp32, at equal
/// provider, threads and shapes.
/// \param metric The deciding one.
nlohmann::json compare_runs(const std::vector<Run>& runs, const std::vector<RunSummary>& summaries,
                            const std::string& metric);

}  // namespace edgesmith::harness
