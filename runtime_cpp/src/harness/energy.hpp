/// \file
/// Energy of an inference, from what the machine's own meters counted.
#pragma once

#include <nlohmann/json.hpp>

namespace edgesmith::harness {

/// Sets the run's "energy": joules for each inference, of the whole package or board with all that
/// it does besides; or null and the reason.
void put_energy_per_inference(nlohmann::json& run);

}  // namespace edgesmith::harness
