/// \file
/// Watches an NVIDIA GPU while a measuring process uses it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "nvml.hpp"

namespace edgesmith::harness {

class GpuObserver {
 public:
  /// \param library The driver's; tests give their own.
  explicit GpuObserver(const std::string& library = Nvml::kLibrary);

  void observe();

  /// The report's environment.during.gpu.
  nlohmann::json result() const;

 private:
  struct Range {
    std::optional<std::uint64_t> minimum;
    std::optional<std::uint64_t> maximum;
    std::string reason = "the timed part ended before it could be observed";
    void note(const Reading<std::uint64_t>& reading);
    void put(nlohmann::json& result, const char* key) const;
  };

  std::optional<Nvml> gpu_;
  std::string reason_;
  Range clock_;
  Range temperature_;
  Range power_;
  Range energy_;
  Range reasons_;
  std::uint64_t reasons_seen_ = 0;
};

}  // namespace edgesmith::harness
