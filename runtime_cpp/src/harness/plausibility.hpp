/// \file
/// Whether a latency is one that the device could reach at all.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

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

}  // namespace edgesmith::harness
