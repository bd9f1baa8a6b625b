/// \file
/// Whether a latency is one that the device could reach at all, and was taken when it had finished.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "condition.hpp"
#include "edgesmith/manifest.hpp"
#include "edgesmith/result.hpp"

namespace edgesmith::harness {

/// Multiply-adds in a nanosecond that no CPU with these features exceeds.
/// \param device The report's context.device. \param precision Of the variant; "int8" counts the
///        instructions for 8-bit integers, too. \param cores How many of them compute.
double peak_multiply_adds_per_ns(const nlohmann::json& device, const std::string& precision,
                                 unsigned cores);

/// The shortest time in which the run's CPU could compute a batch; nothing where the operations
/// were not counted or the provider's hardware is not known.
std::optional<double> least_latency_ns(const nlohmann::json& run, const Variant& variant,
                                       const nlohmann::json& device);

/// \return kHarness if the run's median latency is below what is possible.
Status check_plausible(const nlohmann::json& run, const Variant& variant,
                       const nlohmann::json& device);

/// The GPU had finished when an inference returned: waiting for it right then took next to nothing.
/// \param run With copies; where they are null, with the reason.
Condition synchronized(const nlohmann::json& run);

/// \return kHarness if the run's inferences returned before the GPU had finished.
Status check_synchronized(const nlohmann::json& run);

}  // namespace edgesmith::harness
