/// \file
/// One reader for each kind of evidence; `root` stands before every path. Private to the runtime.
#pragma once

#include <string>
#include <vector>

#include "edgesmith/environment.hpp"

namespace edgesmith::sensors {

// cpus.cpp: CPUs and their clock.
Reading<std::string> governor(const std::string& root);
Reading<std::vector<std::uint64_t>> frequencies(const std::string& root);
Reading<std::vector<std::uint64_t>> frequency_limits(const std::string& root);
Reading<bool> frequency_fixed(const std::string& root);
Reading<CpuList> online(const std::string& root);
Reading<CpuList> isolated(const std::string& root);
Reading<std::vector<CpuKind>> kinds(const std::string& root);
/// CPUs that share a core with one of `cpus` and are none of them.
CpuList siblings(const std::string& root, const CpuList& cpus);

// heat.cpp: what makes CPUs slow down.
Reading<NamedValues> temperatures(const std::string& root);
Reading<NamedValues> passive_trips(const std::string& root);
Reading<std::uint64_t> throttle_count(const std::string& root);
Reading<std::uint64_t> cooling_state(const std::string& root);
Reading<std::uint64_t> firmware_throttle_flags(const std::string& root);

// power.cpp: where energy comes from, and how much.
Reading<bool> on_battery(const std::string& root);
Reading<std::vector<EnergyCounter>> energy(const std::string& root);
Reading<NamedValues> power(const std::string& root);
Reading<std::string> power_mode(const std::string& root);

// work.cpp: whose work the CPUs do.
struct CpuTicks {
  Reading<std::uint64_t> steal;
  Reading<std::uint64_t> total;
  Reading<std::uint64_t> busy;
  std::uint64_t cpus = 0;
};
CpuTicks ticks(const std::string& root);
/// Busy ticks of these CPUs alone.
Reading<std::uint64_t> busy_ticks(const std::string& root, const CpuList& cpus);
Reading<std::uint64_t> cpu_pressure_us(const std::string& root);
Reading<CpuList> affinity(const std::string& root);
void read_load(const std::string& root, Snapshot& snapshot);
void read_usage(Snapshot& snapshot);

}  // namespace edgesmith::sensors
