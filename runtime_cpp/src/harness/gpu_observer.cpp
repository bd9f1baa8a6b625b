#include "gpu_observer.hpp"

#include <algorithm>

namespace edgesmith::harness {

using nlohmann::json;

void GpuObserver::Range::note(const Reading<std::uint64_t>& reading) {
  if (!reading.value) {
    reason = reading.reason;
    return;
  }
  minimum = std::min(minimum.value_or(*reading.value), *reading.value);
  maximum = std::max(maximum.value_or(*reading.value), *reading.value);
}

void GpuObserver::Range::put(json& result, const char* key) const {
  result[key] = nullptr;
  if (minimum && maximum) {
    result[key] = {{"min", *minimum}, {"max", *maximum}};
  } else {
    result["reasons"][key] = reason;
  }
}

GpuObserver::GpuObserver(const std::string& library) {
  Result<Nvml> opened = Nvml::open(library);
  if (opened) {
    gpu_.emplace(std::move(*opened));
  } else {
    reason_ = opened.error().message;
  }
}

void GpuObserver::observe() {
  if (!gpu_) return;
  const GpuState now = gpu_->state();
  clock_.note(now.clock_mhz);
  temperature_.note(now.temperature_celsius);
  power_.note(now.power_milliwatts);
  energy_.note(now.energy_millijoules);
  reasons_.note(now.clock_event_reasons);
  reasons_seen_ |= now.clock_event_reasons.value.value_or(0);
}

json GpuObserver::result() const {
  if (!gpu_) return {{"name", nullptr}, {"reasons", {{"name", reason_}}}};
  json result = {{"name", gpu_->name()}, {"reasons", json::object()}};
  clock_.put(result, "clock_mhz");
  temperature_.put(result, "temperature_celsius");
  power_.put(result, "power_milliwatts");
  result["energy_joules"] = nullptr;
  if (energy_.minimum && energy_.maximum) {
    result["energy_joules"] = static_cast<double>(*energy_.maximum - *energy_.minimum) * 1e-3;
  } else {
    result["reasons"]["energy_joules"] = energy_.reason;
  }
  result["clock_event_reasons"] = nullptr;
  if (reasons_.maximum) {
    result["clock_event_reasons"] = reasons_seen_;
  } else {
    result["reasons"]["clock_event_reasons"] = reasons_.reason;
  }
  return result;
}

}  // namespace edgesmith::harness
