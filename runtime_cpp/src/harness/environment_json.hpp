/// \file
/// What was read about the machine, as parts of the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "edgesmith/environment.hpp"

namespace edgesmith::harness {

/// \param id What identifies the device, already salted and hashed.
nlohmann::json device_json(const DeviceInfo& device, const Reading<std::string>& id, bool emulated);

nlohmann::json snapshot_json(const Snapshot& snapshot);

/// \param loaded After the model was loaded. \param used After the timed inferences.
nlohmann::json memory_json(const MemoryUse& loaded, const MemoryUse& used);

/// CPUs as the kernel lists them, such as "0-3,8".
std::string cpu_list_text(const CpuList& cpus);

}  // namespace edgesmith::harness
