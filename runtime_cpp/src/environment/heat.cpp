#include <algorithm>
#include <charconv>

#include "environment/sensors.hpp"
#include "environment/sysfs.hpp"

namespace edgesmith::sensors {
namespace {

constexpr const char* kThermalFolder = "/sys/class/thermal";

std::string zone_name(const sysfs::Path& zone) {
  return sysfs::text(zone / "type").value_or(zone.filename().string());
}

/// The lowest passive trip point of a zone; firmware that has none may name absurd ones.
std::optional<std::int64_t> passive_trip(const sysfs::Path& zone) {
  constexpr std::int64_t kLeast = 30'000;
  constexpr std::int64_t kMost = 150'000;
  std::optional<std::int64_t> lowest;
  for (int point = 0; point < 16; ++point) {
    const std::string prefix = "trip_point_" + std::to_string(point);
    if (sysfs::text(zone / (prefix + "_type")) != "passive") continue;
    const auto value = sysfs::number(zone / (prefix + "_temp"));
    if (value && *value >= kLeast && *value <= kMost) {
      lowest = std::min(lowest.value_or(*value), *value);
    }
  }
  return lowest;
}

template <typename Read>
Reading<NamedValues> of_each_zone(const std::string& root, const char* reason, Read read) {
  NamedValues values;
  for (const auto& [index, zone] : sysfs::numbered(root + kThermalFolder, "thermal_zone")) {
    if (const std::optional<std::int64_t> value = read(zone)) {
      values.emplace_back(zone_name(zone), *value);
    }
  }
  if (values.empty()) return unreadable<NamedValues>(std::string(reason) + kThermalFolder);
  return {std::move(values), {}};
}

}  // namespace

Reading<NamedValues> temperatures(const std::string& root) {
  return of_each_zone(root, "no readable thermal zone in ",
                      [](const sysfs::Path& zone) { return sysfs::number(zone / "temp"); });
}

Reading<NamedValues> passive_trips(const std::string& root) {
  return of_each_zone(root, "no thermal zone with a passive trip point in ", passive_trip);
}

Reading<std::uint64_t> throttle_count(const std::string& root) {
  std::uint64_t sum = 0;
  bool found = false;
  for (const auto& [index, cpu] : sysfs::numbered(root + sysfs::kCpuFolder, "cpu")) {
    for (const char* name : {"core_throttle_count", "package_throttle_count"}) {
      const auto value = sysfs::count(cpu / "thermal_throttle" / name);
      if (!value) continue;
      found = true;
      sum += *value;
    }
  }
  if (!found) {
    return unreadable<std::uint64_t>(std::string("no thermal_throttle counters below ") +
                                     sysfs::kCpuFolder);
  }
  return {sum, {}};
}

Reading<std::uint64_t> cooling_state(const std::string& root) {
  // Drivers of ARM boards slow CPUs down through these; other kinds (fans, LEDs) are no throttling.
  std::optional<std::uint64_t> sum;
  for (const auto& [index, device] : sysfs::numbered(root + kThermalFolder, "cooling_device")) {
    const std::string type = sysfs::text(device / "type").value_or("");
    const bool slows_cpus =
        type.compare(0, 8, "cpufreq-") == 0 || type.compare(0, 16, "thermal-cpufreq-") == 0;
    if (!slows_cpus) continue;
    if (const auto state = sysfs::count(device / "cur_state")) sum = sum.value_or(0) + *state;
  }
  if (!sum) {
    return unreadable<std::uint64_t>(std::string("no cooling device that slows CPUs down in ") +
                                     kThermalFolder);
  }
  return {sum, {}};
}

Reading<std::uint64_t> firmware_throttle_flags(const std::string& root) {
  // .../soc/soc:firmware, or with the address of the bus in both names.
  for (const sysfs::Path& bus : sysfs::entries(root + "/sys/devices/platform")) {
    const std::string name = bus.filename().string();
    if (name.compare(0, 3, "soc") != 0) continue;
    const auto content = sysfs::text(bus / (name + ":firmware") / "get_throttled");
    if (!content) continue;
    std::uint64_t flags = 0;
    const char* end = content->data() + content->size();
    const auto [stop, error] = std::from_chars(content->data(), end, flags, 16);
    if (error == std::errc() && stop == end) return {flags, {}};
    return unreadable<std::uint64_t>("the firmware's get_throttled is no hexadecimal number");
  }
  return unreadable<std::uint64_t>("no firmware that tells get_throttled (Raspberry Pi)");
}

}  // namespace edgesmith::sensors
