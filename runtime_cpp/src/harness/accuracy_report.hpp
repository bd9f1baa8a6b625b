/// \file
/// Accuracy in the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "edgesmith/accuracy.hpp"
#include "evaluate.hpp"

namespace edgesmith::harness {

/// Back from what a measuring process wrote. Throws nlohmann's exceptions on another document.
Evaluation evaluation_from_json(const nlohmann::json& document);

/// The run's accuracy list.
nlohmann::json accuracy_json(const Evaluation& evaluation);

/// Whether the harness computes this metric; others are the host's.
bool computes(const std::string& metric);

/// The run's reference block: of several outputs the worst.
nlohmann::json reference_json(const Evaluation& evaluation);

/// Loss of the candidate in a metric on the same samples. Without labels, top1 is the agreement
/// with the reference.
PairedLoss accuracy_loss(const std::string& metric, const Evaluation& baseline,
                         const Evaluation& candidate);

}  // namespace edgesmith::harness
