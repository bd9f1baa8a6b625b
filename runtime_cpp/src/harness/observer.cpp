#include "observer.hpp"

#include <algorithm>

namespace edgesmith::harness {

using nlohmann::json;

namespace {

/// The rise of a counter between the two snapshots.
void put_rise(json& result, const json& own, const char* key) {
  const json& before = own["before"][key];
  const json& after = own["after"][key];
  result[key] = after.get<std::uint64_t>() - before.get<std::uint64_t>();
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

}  // namespace

template <typename T>
void Observer::Range<T>::add(T value) {
  minimum = std::min(minimum.value_or(value), value);
  maximum = std::max(maximum.value_or(value), value);
}

void Observer::set_active(bool active) {
  if (active != active_) observe();
  active_ = active;
}

void Observer::observe_if_due() {
  if (active_ && clock_.now_ns() - last_ns_ >= std::int64_t{kIntervalMs} * 1'000'000) observe();
}

void Observer::observe() {
  last_ns_ = clock_.now_ns();
  ++observations_;
  const Snapshot now = environment_.snapshot();
  for (const std::uint64_t value : now.frequency_khz.value.value_or(std::vector<std::uint64_t>{})) {
    frequency_.add(value);
  }
  if (!now.frequency_khz.value) frequency_.reason = now.frequency_khz.reason;
  if (now.temperature_millicelsius.value) {
    for (const auto& [zone, value] : *now.temperature_millicelsius.value) temperature_.add(value);
  } else {
    temperature_.reason = now.temperature_millicelsius.reason;
  }
  const auto note = [](auto& range, const auto& reading) {
    if (reading.value) {
      range.add(*reading.value);
    } else {
      range.reason = reading.reason;
    }
  };
  note(throttle_, now.throttle_count);
  note(steal_, now.steal_ticks);
  note(total_, now.total_ticks);
}

json Observer::result(const json& own) const {
  json result = {{"observations", observations_},
                 {"interval_ms", kIntervalMs},
                 {"throttle_events", nullptr},
                 {"steal_share", nullptr},
                 {"reasons", json::object()}};
  put_range(result, "frequency_khz", frequency_);
  put_range(result, "temperature_millicelsius", temperature_);
  if (throttle_.minimum && throttle_.maximum) {
    result["throttle_events"] = *throttle_.maximum - *throttle_.minimum;
  } else {
    result["reasons"]["throttle_events"] = throttle_.reason;
  }
  if (!steal_.minimum || !steal_.maximum) {
    result["reasons"]["steal_share"] = steal_.reason;
  } else if (!total_.minimum || !total_.maximum) {
    result["reasons"]["steal_share"] = total_.reason;
  } else if (*total_.maximum == *total_.minimum) {
    result["reasons"]["steal_share"] = "the timed part was shorter than the kernel's tick";
  } else {
    result["steal_share"] = static_cast<double>(*steal_.maximum - *steal_.minimum) /
                            static_cast<double>(*total_.maximum - *total_.minimum);
  }
  put_rise(result, own, "involuntary_context_switches");
  put_rise(result, own, "major_page_faults");
  return result;
}

}  // namespace edgesmith::harness
