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
};

/// What disturbs measurements, at one moment. Counters belong to this process where not marked.
struct Snapshot {
  Reading<std::string> governor;                      ///< Comma-separated if CPUs differ.
  Reading<std::vector<std::uint64_t>> frequency_khz;  ///< Of each CPU that reports one.
  Reading<std::vector<std::pair<std::string, std::int64_t>>> temperature_millicelsius;
  Reading<std::uint64_t> throttle_count;  ///< Machine.
  Reading<double> load_average_1m;        ///< Machine.
  Reading<std::uint64_t> steal_ticks;     ///< Machine.
  Reading<std::uint64_t> total_ticks;     ///< Machine.
  std::uint64_t voluntary_context_switches = 0;
  std::uint64_t involuntary_context_switches = 0;
  std::uint64_t minor_page_faults = 0;
  std::uint64_t major_page_faults = 0;
  Reading<std::vector<std::uint64_t>> affinity_cpus;
};

/// Memory of this process in bytes.
struct MemoryUse {
  Reading<std::uint64_t> resident_bytes;
  Reading<std::uint64_t> peak_resident_bytes;
};

/// Reads the machine through /proc and /sys.
class Environment {
 public:
  /// \param root Stands before every path; empty for the real ones.
  explicit Environment(std::string root = "") : root_(std::move(root)) {}

  DeviceInfo device() const;
  Snapshot snapshot() const;
  MemoryUse memory() const;

 private:
  Reading<std::string> text(const std::string& path) const;
  Reading<std::string> governor() const;
  Reading<std::string> virtualization(const std::string& cpuinfo) const;
  Reading<std::vector<std::uint64_t>> frequencies() const;
  Reading<std::vector<std::pair<std::string, std::int64_t>>> temperatures() const;
  Reading<std::uint64_t> throttle_count() const;
  static Reading<std::uint64_t> status_bytes(const std::string& status, const std::string& key);
  void read_ticks(Snapshot& snapshot) const;

  std::string root_;
};

}  // namespace edgesmith
