#include <algorithm>

#include "environment/sensors.hpp"
#include "environment/sysfs.hpp"

namespace edgesmith::sensors {
namespace {

/// A rail of an INA3221: the bus voltage in mV and the current in mA.
std::optional<std::pair<std::string, std::int64_t>> rail(const sysfs::Path& chip, int channel) {
  const std::string number = std::to_string(channel);
  const auto millivolts = sysfs::number(chip / ("in" + number + "_input"));
  const auto milliamperes = sysfs::number(chip / ("curr" + number + "_input"));
  const std::string label = sysfs::text(chip / ("in" + number + "_label")).value_or("");
  // A channel that nothing is connected to is labelled NC.
  if (!millivolts || !milliamperes || label == "NC") return std::nullopt;
  return std::pair{label.empty() ? "channel " + number : label, *millivolts * *milliamperes / 1000};
}

}  // namespace

Reading<bool> on_battery(const std::string& root) {
  const std::string folder = root + "/sys/class/power_supply";
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return unreadable<bool>("/sys/class/power_supply is not readable");
  }
  bool discharging = false;
  for (const sysfs::Path& supply : sysfs::entries(folder)) {
    const std::string type = sysfs::text(supply / "type").value_or("");
    // A wireless mouse has a battery, too; its scope is that device.
    if (sysfs::text(supply / "scope") == "Device") continue;
    if (type != "Battery" && sysfs::count(supply / "online").value_or(0) > 0) {
      return {false, {}};
    }
    discharging =
        discharging || (type == "Battery" && sysfs::text(supply / "status") == "Discharging");
  }
  return {discharging, {}};
}

Reading<std::vector<EnergyCounter>> energy(const std::string& root) {
  using Counters = std::vector<EnergyCounter>;
  const std::string folder = "/sys/class/powercap";
  Counters counters;
  bool listed = false;
  for (const auto& [index, zone] : sysfs::numbered(root + folder, "intel-rapl:")) {
    const std::string name = sysfs::text(zone / "name").value_or("");
    // "psys" holds the packages as well and would count them twice.
    if (name.compare(0, 7, "package") != 0) continue;
    listed = true;
    const auto value = sysfs::count(zone / "energy_uj");
    const auto range = sysfs::count(zone / "max_energy_range_uj");
    if (value && range) counters.push_back({name, *value, *range});
  }
  if (!counters.empty()) return {std::move(counters), {}};
  return unreadable<Counters>(listed ? folder + "/intel-rapl:*/energy_uj is for root only"
                                     : "no energy counters (RAPL) in " + folder);
}

Reading<NamedValues> power(const std::string& root) {
  const std::string folder = "/sys/class/hwmon";
  NamedValues rails;
  for (const auto& [index, chip] : sysfs::numbered(root + folder, "hwmon")) {
    if (sysfs::text(chip / "name").value_or("").compare(0, 7, "ina3221") != 0) continue;
    for (int channel = 1; channel <= 3; ++channel) {
      if (auto found = rail(chip, channel)) rails.push_back(std::move(*found));
    }
  }
  if (rails.empty()) return unreadable<NamedValues>("no power monitor (INA3221) in " + folder);
  return {std::move(rails), {}};
}

Reading<std::string> power_mode(const std::string& root) {
  // What nvpmodel last set, such as "pmode:0000".
  return sysfs::known(sysfs::text(root + "/var/lib/nvpmodel/status").value_or(""),
                      "/var/lib/nvpmodel/status is not readable (Jetson)");
}

}  // namespace edgesmith::sensors
