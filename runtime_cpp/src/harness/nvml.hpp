/// \file
/// What an NVIDIA GPU tells about itself, through the driver's own library where there is one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "edgesmith/environment.hpp"
#include "edgesmith/result.hpp"

namespace edgesmith {

/// Reasons for a lower clock that mean heat or power trouble; others are an idle GPU, settings, and
/// a power limit, which big GPUs reach by working.
constexpr std::uint64_t kGpuHardwareSlowdown = 0x08;
constexpr std::uint64_t kGpuSoftwareThermal = 0x20;
constexpr std::uint64_t kGpuHardwareThermal = 0x40;
constexpr std::uint64_t kGpuPowerBrake = 0x80;

/// One moment of a GPU.
struct GpuState {
  Reading<std::uint64_t> clock_mhz;
  Reading<std::uint64_t> temperature_celsius;
  Reading<std::uint64_t> power_milliwatts;
  Reading<std::uint64_t> energy_millijoules;   ///< Since the driver was loaded.
  Reading<std::uint64_t> clock_event_reasons;  ///< Why the clock is not the highest, as bits.
};

/// The driver's library and one GPU of it.
class Nvml {
 public:
  static constexpr const char* kLibrary = "libnvidia-ml.so.1";

  /// \return kDevice if there is no such library or no such GPU.
  static Result<Nvml> open(const std::string& library = kLibrary, unsigned index = 0);

  Nvml(Nvml&&) noexcept;
  Nvml& operator=(Nvml&&) noexcept;
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml();

  const std::string& name() const;
  GpuState state() const;

 private:
  struct Library;
  explicit Nvml(std::unique_ptr<Library> library);
  std::unique_ptr<Library> library_;
};

}  // namespace edgesmith
