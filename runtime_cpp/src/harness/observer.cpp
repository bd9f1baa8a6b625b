#include "observer.hpp"

#include <algorithm>
#include <ctime>

namespace edgesmith::harness {

using nlohmann::json;

namespace {

constexpr const char* kTooShort = "the timed part was shorter than the kernel's tick";

std::uint64_t thread_cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

/// The rise of a counter between the two snapshots; nothing if it cannot be read.
std::optional<double> rise(const json& own, const char* key) {
  const json& before = own["before"][key];
  const json& after = own["after"][key];
  if (before.is_null() || after.is_null()) return std::nullopt;
  return after.get<double>() - before.get<double>();
}

void put_rise(json& result, const json& own, const char* key) {
  result[key] = own["after"][key].get<std::uint64_t>() - own["before"][key].get<std::uint64_t>();
}

template <typename Range>
void put_range(json& result, const char* key, const Range& range) {
  if (range.minimum && range.maximum) {
    result[key] = {{"min", *range.minimum}, {"max", *range.maximum}};
  } else {
    result[key] = nullptr;
    result["reasons"][key] = range.reason;
  }
}

void put_null(json& result, const char* key, const std::string& reason) {
  result[key] = nullptr;
  result["reasons"][key] = reason;
}

std::string reason_of(const json& own, const char* key) {
  return own["before"]["reasons"].value(key, std::string("it cannot be read here"));
}

/// Wall time between the snapshots, from the kernel's own counters of all CPUs.
std::optional<double> wall_ns(const json& own) {
  const std::optional<double> total = rise(own, "total_ticks");
  const auto cpus = own["before"]["counted_cpus"].get<double>();
  if (!total || *total <= 0 || cpus <= 0) return std::nullopt;
  return *total * static_cast<double>(Environment::tick_ns()) / cpus;
}

/// CPU time that neither the measuring process nor the observer had, as a number of busy CPUs.
void put_other_work(json& result, const json& own, std::uint64_t observer_ns) {
  const std::optional<double> busy = rise(own, "busy_ticks");
  const std::optional<double> wall = wall_ns(own);
  if (!busy || !wall) {
    put_null(result, "other_cpus_busy", busy ? kTooShort : reason_of(own, "busy_ticks"));
    return;
  }
  const auto tick_ns = static_cast<double>(Environment::tick_ns());
  const auto cpus = own["before"]["counted_cpus"].get<double>();
  const double own_ns = rise(own, "cpu_time_ns").value_or(0) + static_cast<double>(observer_ns);
  result["other_cpus_busy"] = std::max(0.0, (*busy * tick_ns - own_ns) / *wall);
  // The counters of each CPU may be a tick off at both ends.
  result["other_cpus_busy_error"] = 2.0 * cpus * tick_ns / *wall;
}

void put_waiting(json& result, const json& own) {
  const std::optional<double> wall = wall_ns(own);
  const std::optional<double> pressure = rise(own, "cpu_pressure_us");
  if (pressure && wall) {
    result["cpu_pressure_share"] = *pressure * 1000 / *wall;
  } else {
    put_null(result, "cpu_pressure_share",
             pressure ? kTooShort : reason_of(own, "cpu_pressure_us"));
  }
  const std::optional<double> sibling = rise(own, "sibling_busy_ticks");
  if (sibling && wall) {
    result["siblings_busy"] = *sibling * static_cast<double>(Environment::tick_ns()) / *wall;
  } else {
    put_null(result, "siblings_busy", sibling ? kTooShort : reason_of(own, "sibling_busy_ticks"));
  }
}

}  // namespace

template <typename T>
void Observer::Range<T>::add(T value) {
  minimum = std::min(minimum.value_or(value), value);
  maximum = std::max(maximum.value_or(value), value);
}

template <typename T>
void Observer::Range<T>::note(const Reading<T>& reading) {
  if (reading.value) {
    add(*reading.value);
  } else {
    reason = reading.reason;
  }
}

void Observer::set_active(bool active) {
  if (active != active_) observe();
  active_ = active;
}

void Observer::observe_if_due() {
  if (active_ && clock_.now_ns() - last_ns_ >= interval_ns_) observe();
}

void Observer::observe() {
  const std::uint64_t start_ns = thread_cpu_ns();
  const Sensors now = environment_.sensors();
  for (const std::uint64_t value : now.frequency_khz.value.value_or(std::vector<std::uint64_t>{})) {
    frequency_.add(value);
  }
  if (!now.frequency_khz.value) frequency_.reason = now.frequency_khz.reason;
  // The sum: a limit that falls on any CPU lowers it.
  std::uint64_t limits = 0;
  for (const std::uint64_t value :
       now.frequency_limit_khz.value.value_or(std::vector<std::uint64_t>{})) {
    limits += value;
  }
  frequency_limit_.note(now.frequency_limit_khz.value
                            ? Reading<std::uint64_t>{limits, {}}
                            : unreadable<std::uint64_t>(now.frequency_limit_khz.reason));
  for (const auto& [zone, value] : now.temperature_millicelsius.value.value_or(NamedValues{})) {
    temperature_.add(value);
  }
  if (!now.temperature_millicelsius.value) {
    temperature_.reason = now.temperature_millicelsius.reason;
  }
  throttle_.note(now.throttle_count);
  cooling_.note(now.cooling_state);
  firmware_.note(now.firmware_throttle_flags);
  firmware_seen_ |= now.firmware_throttle_flags.value.value_or(0);
  steal_.note(now.steal_ticks);
  total_.note(now.total_ticks);
  note_energy(now);
  note_power(now);
  if (gpu_) gpu_->observe();
  ++observations_;
  last_ns_ = clock_.now_ns();
  const std::uint64_t cost_ns = thread_cpu_ns() - start_ns;
  cost_ns_ += cost_ns;
  interval_ns_ = std::max(interval_ns_, static_cast<std::int64_t>(100 * cost_ns));
}

void Observer::note_energy(const Sensors& now) {
  if (!now.energy.value) {
    if (energy_source_.empty()) energy_reason_ = now.energy.reason;
    return;
  }
  energy_source_ = "rapl";
  for (const EnergyCounter& counter : *now.energy.value) {
    const auto last = last_energy_.find(counter.name);
    if (last != last_energy_.end()) {
      const bool wrapped = counter.microjoules < last->second;
      const std::uint64_t risen =
          counter.microjoules - last->second + (wrapped ? counter.range_microjoules + 1 : 0);
      energy_joules_ = energy_joules_.value_or(0) + static_cast<double>(risen) * 1e-6;
    }
    last_energy_[counter.name] = counter.microjoules;
  }
}

void Observer::note_power(const Sensors& now) {
  if (!now.power_milliwatts.value) {
    power_.reason = now.power_milliwatts.reason;
    return;
  }
  // One rail feeds the others on boards that name it so; on others, all rails add up.
  std::int64_t sum = 0;
  for (const auto& [rail, milliwatts] : *now.power_milliwatts.value) {
    if (rail == "VDD_IN" || rail == "POM_5V_IN") {
      sum = milliwatts;
      break;
    }
    sum += milliwatts;
  }
  if (observations_ > 0 && energy_source_ != "rapl") {
    const double seconds = static_cast<double>(clock_.now_ns() - last_ns_) * 1e-9;
    const double mean =
        (static_cast<double>(last_power_milliwatts_) + static_cast<double>(sum)) / 2;
    energy_joules_ = energy_joules_.value_or(0) + mean * 1e-3 * seconds;
    energy_source_ = "ina3221";
  }
  last_power_milliwatts_ = sum;
  power_.add(sum);
}

void Observer::put_heat(json& result) const {
  put_range(result, "frequency_khz", frequency_);
  put_range(result, "frequency_limit_sum_khz", frequency_limit_);
  put_range(result, "temperature_millicelsius", temperature_);
  result["throttle_events"] = nullptr;
  if (throttle_.minimum && throttle_.maximum) {
    result["throttle_events"] = *throttle_.maximum - *throttle_.minimum;
  } else {
    result["reasons"]["throttle_events"] = throttle_.reason;
  }
  if (cooling_.maximum) {
    result["cooling_state_max"] = *cooling_.maximum;
  } else {
    put_null(result, "cooling_state_max", cooling_.reason);
  }
  if (firmware_.maximum) {
    result["firmware_throttle_flags"] = firmware_seen_;
  } else {
    put_null(result, "firmware_throttle_flags", firmware_.reason);
  }
}

void Observer::put_energy(json& result) const {
  put_range(result, "power_milliwatts", power_);
  if (energy_joules_) {
    result["energy_joules"] = *energy_joules_;
    result["energy_source"] = energy_source_;
  } else {
    put_null(result, "energy_joules", energy_reason_);
  }
}

json Observer::result(const json& own) const {
  json result = {{"observations", observations_},
                 {"interval_ms", interval_ns_ / 1'000'000},
                 {"observer_cpu_ns", cost_ns_},
                 {"steal_share", nullptr},
                 {"reasons", json::object()}};
  put_heat(result);
  put_energy(result);
  if (gpu_) result["gpu"] = gpu_->result();
  if (!steal_.minimum || !steal_.maximum) {
    result["reasons"]["steal_share"] = steal_.reason;
  } else if (!total_.minimum || !total_.maximum) {
    result["reasons"]["steal_share"] = total_.reason;
  } else if (*total_.maximum == *total_.minimum) {
    result["reasons"]["steal_share"] = kTooShort;
  } else {
    result["steal_share"] = static_cast<double>(*steal_.maximum - *steal_.minimum) /
                            static_cast<double>(*total_.maximum - *total_.minimum);
  }
  put_other_work(result, own, cost_ns_);
  put_waiting(result, own);
  put_rise(result, own, "involuntary_context_switches");
  put_rise(result, own, "major_page_faults");
  return result;
}

}  // namespace edgesmith::harness
