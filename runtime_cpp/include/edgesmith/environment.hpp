/// \file
/// What can be read about the machine and about disturbances of a measurement. Whatever cannot be
/// read is data too: no value, and the reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace edgesmith {

/// A value, or why there is none.
template <typename T>
struct Reading {
  std::optional<T> value;
  std::string reason;
};

template <typename T>
Reading<T> unreadable(std::string reason) {
  return {std::nullopt, std::move(reason)};
}

/// CPUs by their numbers, ascending.
using CpuList = std::vector<std::uint64_t>;

/// Named values: thermal zones, power rails.
using NamedValues = std::vector<std::pair<std::string, std::int64_t>>;

/// Cores that are alike; machines with fast and slow cores have several kinds.
struct CpuKind {
  CpuList cpus;
  std::optional<std::uint64_t> capacity;           ///< Relative speed as the kernel says, to 1024.
  std::optional<std::uint64_t> max_frequency_khz;  ///< The highest that the hardware offers.
};

/// What does not change while the machine runs.
struct DeviceInfo {
  Reading<std::string> machine_id;  ///< Identifies the machine; publish only a salted hash of it.
  Reading<std::string> model;
  Reading<std::string> cpu;
  std::string architecture;
  std::vector<std::string> isa_features;  ///< Those that matter to inference, as the kernel says.
  unsigned cores = 0;
  Reading<std::uint64_t> memory_bytes;
  std::string kernel;
  std::string libc;
  Reading<std::string> governor;
  Reading<std::string> virtualization;  ///< "none", "container", "vm" or the hypervisor's name.
  Reading<CpuList> online_cpus;
  Reading<CpuList> isolated_cpus;           ///< Kept free of other work by the kernel's options.
  Reading<std::vector<CpuKind>> cpu_kinds;  ///< The fastest first.
  Reading<NamedValues> passive_trip_millicelsius;  ///< Where each zone makes the kernel slow down.
  Reading<std::string> power_mode;                 ///< As a Jetson's nvpmodel says.
};

/// A counter of used energy that wraps around.
struct EnergyCounter {
  std::string name;
  std::uint64_t microjoules = 0;
  std::uint64_t range_microjoules = 0;  ///< The counter's highest value.
};

/// Bits of a Raspberry Pi's firmware; each stands 16 bits higher for "since the machine started".
constexpr std::uint64_t kUnderVoltage = 1;
constexpr std::uint64_t kFrequencyCapped = 2;
constexpr std::uint64_t kFirmwareThrottled = 4;
constexpr std::uint64_t kSoftTemperatureLimit = 8;
constexpr unsigned kStickyShift = 16;

/// What can be read often, while something is measured: of the whole machine.
struct Sensors {
  Reading<std::vector<std::uint64_t>> frequency_khz;        ///< Of each CPU that reports one.
  Reading<std::vector<std::uint64_t>> frequency_limit_khz;  ///< The highest allowed now, likewise.
  Reading<NamedValues> temperature_millicelsius;
  Reading<std::uint64_t> throttle_count;           ///< Sum of the kernel's counters (x86).
  Reading<std::uint64_t> cooling_state;            ///< Above 0, the kernel slows CPUs down.
  Reading<std::uint64_t> firmware_throttle_flags;  ///< Bits as above (Raspberry Pi).
  Reading<std::vector<EnergyCounter>> energy;      ///< Of CPU packages (RAPL).
  Reading<NamedValues> power_milliwatts;           ///< Of power rails (INA3221, Jetson).
  Reading<std::uint64_t> steal_ticks;
  Reading<std::uint64_t> total_ticks;
};

/// What disturbs measurements, at one moment. Counters belong to this process where not marked.
struct Snapshot {
  Sensors sensors;
  Reading<std::string> governor;              ///< Comma-separated if CPUs differ.
  Reading<bool> frequency_fixed;              ///< The lowest and the highest allowed are the same.
  Reading<double> load_average_1m;            ///< Machine.
  Reading<std::uint64_t> runnable_tasks;      ///< Machine, with this process.
  std::uint64_t counted_cpus = 0;             ///< CPUs in the machine's tick counters.
  Reading<std::uint64_t> busy_ticks;          ///< Machine: time of all CPUs with work.
  Reading<std::uint64_t> sibling_busy_ticks;  ///< Machine: the same of the SMT siblings of the CPUs
                                              ///< that this process is pinned to.
  Reading<std::uint64_t> cpu_pressure_us;     ///< Machine: time in which a task waited for a CPU.
  Reading<bool> on_battery;
  std::uint64_t cpu_time_ns = 0;  ///< Of all threads of this process.
  std::uint64_t voluntary_context_switches = 0;
  std::uint64_t involuntary_context_switches = 0;
  std::uint64_t minor_page_faults = 0;
  std::uint64_t major_page_faults = 0;
  Reading<CpuList> affinity_cpus;
};

/// Memory of this process in bytes.
struct MemoryUse {
  Reading<std::uint64_t> resident_bytes;
  Reading<std::uint64_t> peak_resident_bytes;
  Reading<std::uint64_t> proportional_bytes;  ///< Shared pages divided among those that share them.
  Reading<std::uint64_t> anonymous_bytes;     ///< Resident, and no file's: what was allocated.
  Reading<std::uint64_t> file_bytes;          ///< Resident pages of files: programs and libraries.
};

/// Reads the machine through /proc and /sys.
class Environment {
 public:
  /// \param root Stands before every path; empty for the real ones.
  explicit Environment(std::string root = "") : root_(std::move(root)) {}

  DeviceInfo device() const;
  Snapshot snapshot() const;
  /// The cheaper part of a snapshot.
  Sensors sensors() const;
  MemoryUse memory() const;
  /// Nanoseconds of a tick of the counters of CPU time.
  static std::uint64_t tick_ns();

 private:
  std::string root_;
};

}  // namespace edgesmith
