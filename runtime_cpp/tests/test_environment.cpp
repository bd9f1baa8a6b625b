#include <array>

#include "check.hpp"
#include "energy.hpp"
#include "fake_machine.hpp"
#include "plausibility.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::Checks;
using test::FakeMachine;
using test::kCpu;
using test::measure_on;
using test::Measured;

const std::string kThermal = "/sys/class/thermal";
const std::string kFirmware = "/sys/devices/platform/soc/soc:firmware/get_throttled";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void plain_virtual_machine(Checks& checks) {
  const FakeMachine machine;
  const Measured found = measure_on(machine);
  CHECK_EQUAL(found.verdict.name, "uncontrolled");
  CHECK(found.condition("no_other_work")["passed"] == true);
  const std::vector<std::string> missing{"frequency governor", "CPU frequency", "temperature",
                                         "throttling"};
  CHECK(found.verdict.not_readable == missing);
  for (const char* key :
       {"governor", "frequency_khz", "temperature_millicelsius", "throttle_count", "cooling_state",
        "firmware_throttle_flags", "energy_microjoules", "power_milliwatts"}) {
    CHECK(found.before[key].is_null());
    CHECK(!found.before["reasons"][key].get<std::string>().empty());
  }
  CHECK_EQUAL(found.during["observations"].get<int>(), 3);
  CHECK(found.during["observer_cpu_ns"].get<std::uint64_t>() > 0);
}

void other_work(Checks& checks) {
  const FakeMachine machine;
  // A second in which one of the four CPUs was busy with something else.
  const Measured found = measure_on(machine, [&] { machine.work(25, 75); });
  CHECK_EQUAL(found.verdict.name, "noisy");
  const json condition = found.condition("no_other_work");
  CHECK(condition["passed"] == false);
  CHECK_NEAR(condition["value"].get<double>(), 1.0, 0.1);
  CHECK(condition["limit"].get<double>() < 0.5);
  CHECK(contains(found.advice("no_other_work"), "other processes"));
  // The counters did not move: nothing can be said.
  const FakeMachine still;
  const Measured unknown = measure_on(still, [&] { still.work(0, 0); });
  CHECK(unknown.condition("no_other_work")["passed"].is_null());
  CHECK_EQUAL(unknown.verdict.name, "uncontrolled");
  still.remove("/proc/stat");
  CHECK(measure_on(still, [&] { still.remove("/proc/stat"); })
            .condition("no_other_work")["passed"]
            .is_null());
}

void desktop(Checks& checks) {
  const FakeMachine machine;
  machine.set_clock("3600000");
  machine.set_cpus("thermal_throttle/core_throttle_count", "3");
  const Measured healthy = measure_on(machine);
  CHECK_EQUAL(healthy.verdict.name, "valid");
  CHECK_EQUAL(healthy.before["throttle_count"].get<int>(), 12);
  const Measured hot = measure_on(
      machine, [&] { machine.set(kCpu + "/cpu1/thermal_throttle/core_throttle_count", "9\n"); });
  CHECK_EQUAL(hot.verdict.name, "throttled");
  CHECK(contains(hot.advice("not_throttled"), "throttled by heat"));
  CHECK_EQUAL(hot.during["throttle_events"].get<int>(), 6);
}

void clock_control(Checks& checks) {
  const FakeMachine machine;
  machine.set_clock("3600000");
  machine.set_cpus("thermal_throttle/core_throttle_count", "0");
  machine.set_cpus("cpufreq/scaling_governor", "powersave");
  const Measured saving = measure_on(machine);
  CHECK_EQUAL(saving.verdict.name, "uncontrolled");
  CHECK(contains(saving.advice("frequency_controlled"), "governor"));
  machine.set_cpus("cpufreq/scaling_min_freq", "3600000");
  CHECK_EQUAL(measure_on(machine).verdict.name, "valid");
  machine.set_clock("3600000");
  const Measured capped = measure_on(
      machine, [&] { machine.set(kCpu + "/cpu2/cpufreq/scaling_max_freq", "1800000\n"); },
      [&] { machine.set(kCpu + "/cpu2/cpufreq/scaling_max_freq", "3600000\n"); });
  CHECK_EQUAL(capped.verdict.name, "throttled");
  CHECK(contains(capped.advice("not_throttled"), "lowered meanwhile"));
}

FakeMachine& as_pi(FakeMachine& machine) {
  machine.set_clock("1800000");
  machine.set(kFirmware, "0\n");
  machine.set(kThermal + "/thermal_zone0/type", "cpu-thermal\n");
  machine.set(kThermal + "/thermal_zone0/temp", "51000\n");
  return machine;
}

void raspberry_pi(Checks& checks) {
  FakeMachine machine;
  as_pi(machine);
  const Measured healthy = measure_on(machine);
  CHECK_EQUAL(healthy.verdict.name, "valid");
  CHECK_EQUAL(healthy.advice("not_throttled"), "");
  CHECK_EQUAL(healthy.before["temperature_millicelsius"][0]["value"].get<int>(), 51000);
  machine.set(kFirmware, "50005\n");
  const Measured now = measure_on(machine);
  CHECK_EQUAL(now.verdict.name, "throttled");
  CHECK(contains(now.advice("not_throttled"), "power supply"));
  CHECK(contains(now.advice("not_throttled"), "throttled the CPU"));
  CHECK_EQUAL(now.during["firmware_throttle_flags"].get<int>(), 0x50005);
  machine.set(kFirmware, "50000\n");
  const Measured long_ago = measure_on(machine);
  CHECK_EQUAL(long_ago.verdict.name, "valid");
  CHECK(contains(long_ago.advice("not_throttled"), "since the machine started"));
}

void raspberry_pi_changes(Checks& checks) {
  FakeMachine machine;
  as_pi(machine);
  // Between two observations: only what the firmware remembers tells it.
  const Measured remembered =
      measure_on(machine, [] {}, [&] { machine.set(kFirmware, "80000\n"); });
  CHECK_EQUAL(remembered.verdict.name, "throttled");
  CHECK(contains(remembered.advice("not_throttled"), "soft temperature limit"));
  machine.set(kFirmware, "0\n");
  const Measured in_between = measure_on(
      machine, [&] { machine.set(kFirmware, "2\n"); }, [&] { machine.set(kFirmware, "0\n"); });
  CHECK_EQUAL(in_between.verdict.name, "throttled");
  CHECK(contains(in_between.advice("not_throttled"), "capped"));
  machine.set(kFirmware, "no number\n");
  CHECK_EQUAL(measure_on(machine).verdict.name, "uncontrolled");
  // The address of the bus stands in the names of newer boards.
  machine.remove("/sys/devices/platform");
  machine.set("/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "1\n");
  CHECK_EQUAL(measure_on(machine).verdict.name, "throttled");
}

void jetson(Checks& checks) {
  const FakeMachine machine;
  machine.set_clock("1510400");
  const std::string chip = "/sys/class/hwmon/hwmon1";
  machine.set(chip + "/name", "ina3221\n");
  for (const auto& [channel, label, current] : std::vector<std::array<std::string, 3>>{
           {"1", "VDD_IN", "1000"}, {"2", "VDD_CPU_GPU_CV", "400"}, {"3", "NC", "1"}}) {
    machine.set(chip + "/in" + channel + "_label", label + "\n");
    machine.set(chip + "/in" + channel + "_input", "5000\n");
    machine.set(chip + "/curr" + channel + "_input", current + "\n");
  }
  machine.set("/var/lib/nvpmodel/status", "pmode:0002\n");
  machine.set(kThermal + "/thermal_zone0/type", "cpu-thermal\n");
  machine.set(kThermal + "/thermal_zone0/temp", "49500\n");
  machine.set(kThermal + "/thermal_zone0/trip_point_0_type", "critical\n");
  machine.set(kThermal + "/thermal_zone0/trip_point_0_temp", "104500\n");
  machine.set(kThermal + "/thermal_zone0/trip_point_1_type", "passive\n");
  machine.set(kThermal + "/thermal_zone0/trip_point_1_temp", "99000\n");
  machine.set(kThermal + "/cooling_device0/type", "pwm-fan\n");
  machine.set(kThermal + "/cooling_device0/cur_state", "2\n");
  machine.set(kThermal + "/cooling_device1/type", "cpufreq-cpu0\n");
  machine.set(kThermal + "/cooling_device1/cur_state", "0\n");
  const Measured healthy = measure_on(machine);
  CHECK_EQUAL(healthy.verdict.name, "valid");
  CHECK_EQUAL(healthy.device["power_mode"].get<std::string>(), "pmode:0002");
  CHECK_EQUAL(healthy.device["passive_trip_millicelsius"][0]["value"].get<int>(), 99000);
  CHECK_EQUAL(healthy.before["power_milliwatts"].size(), 2U);
  // The first rail feeds the second.
  CHECK_EQUAL(healthy.during["power_milliwatts"]["max"].get<int>(), 5000);
  CHECK_EQUAL(healthy.during["energy_source"].get<std::string>(), "ina3221");
  CHECK(healthy.during["energy_joules"].get<double>() > 0);
  const Measured slowed = measure_on(
      machine, [&] { machine.set(kThermal + "/cooling_device1/cur_state", "3\n"); },
      [&] { machine.set(kThermal + "/cooling_device1/cur_state", "0\n"); });
  CHECK_EQUAL(slowed.verdict.name, "throttled");
  CHECK(contains(slowed.advice("not_throttled"), "the kernel slowed the CPU down"));
  machine.set(kThermal + "/thermal_zone0/temp", "99500\n");
  const Measured hot = measure_on(machine);
  CHECK_EQUAL(hot.verdict.name, "throttled");
  CHECK(contains(hot.advice("not_throttled"), "cpu-thermal"));
}

void laptop(Checks& checks) {
  const FakeMachine machine;
  machine.set_clock("3600000");
  machine.set_cpus("thermal_throttle/package_throttle_count", "0");
  const std::string supplies = "/sys/class/power_supply";
  machine.set(supplies + "/AC/type", "Mains\n");
  machine.set(supplies + "/AC/online", "1\n");
  machine.set(supplies + "/BAT0/type", "Battery\n");
  machine.set(supplies + "/BAT0/status", "Charging\n");
  machine.set(supplies + "/hidpp_battery_0/type", "Battery\n");
  machine.set(supplies + "/hidpp_battery_0/scope", "Device\n");
  machine.set(supplies + "/hidpp_battery_0/status", "Discharging\n");
  const Measured plugged = measure_on(machine);
  CHECK_EQUAL(plugged.verdict.name, "valid");
  CHECK(plugged.before["on_battery"] == false);
  machine.set(supplies + "/AC/online", "0\n");
  machine.set(supplies + "/BAT0/status", "Discharging\n");
  const Measured unplugged = measure_on(machine);
  CHECK_EQUAL(unplugged.verdict.name, "uncontrolled");
  CHECK(unplugged.condition("not_on_battery")["passed"] == false);
  CHECK(contains(unplugged.advice("not_on_battery"), "connect the power supply"));
  machine.remove(supplies);
  const Measured unknown = measure_on(machine);
  CHECK(unknown.condition("not_on_battery")["passed"].is_null());
  CHECK_EQUAL(unknown.verdict.name, "valid");
}

void fast_and_slow_cores(Checks& checks) {
  const FakeMachine machine(8);
  machine.set_clock("1800000");
  machine.set_cpus("thermal_throttle/core_throttle_count", "0");
  for (unsigned cpu = 0; cpu < 8; ++cpu) {
    machine.set(kCpu + "/cpu" + std::to_string(cpu) + "/cpu_capacity",
                cpu < 4 ? "446\n" : "1024\n");
  }
  const Measured mixed = measure_on(machine);
  CHECK_EQUAL(mixed.verdict.name, "uncontrolled");
  CHECK(mixed.condition("one_kind_of_cores")["passed"] == false);
  CHECK(contains(mixed.advice("one_kind_of_cores"), "CPUs 4-7"));
  CHECK_EQUAL(mixed.device["cpu_kinds"].size(), 2U);
  machine.pin("4-7");
  CHECK_EQUAL(measure_on(machine).verdict.name, "valid");
  machine.pin("2,5");
  CHECK_EQUAL(measure_on(machine).verdict.name, "uncontrolled");
  // Without capacities, the highest frequencies tell it.
  for (unsigned cpu = 0; cpu < 8; ++cpu) {
    const std::string folder = kCpu + "/cpu" + std::to_string(cpu);
    machine.remove(folder + "/cpu_capacity");
    machine.set(folder + "/cpufreq/cpuinfo_max_freq", cpu < 6 ? "2400000\n" : "1400000\n");
  }
  CHECK(measure_on(machine).condition("one_kind_of_cores")["passed"] == true);
  machine.pin("0-7");
  CHECK(contains(measure_on(machine).advice("one_kind_of_cores"), "CPUs 0-5"));
  // Single cores that clock a little higher are no kind of their own.
  machine.set_cpus("cpufreq/cpuinfo_max_freq", "4900000");
  machine.set(kCpu + "/cpu3/cpufreq/cpuinfo_max_freq", "5300000\n");
  CHECK_EQUAL(measure_on(machine).verdict.name, "valid");
}

void energy_counters(Checks& checks) {
  const FakeMachine machine;
  const std::string zone = "/sys/class/powercap/intel-rapl:0";
  machine.set("/sys/class/powercap/intel-rapl:0:0/name", "core\n");
  machine.set(zone + "/name", "package-0\n");
  machine.set(zone + "/max_energy_range_uj", "262143328850\n");
  CHECK(contains(measure_on(machine).during["reasons"]["energy_joules"].get<std::string>(),
                 "root only"));
  machine.set(zone + "/energy_uj", "262142328850\n");
  const Measured wrapped =
      measure_on(machine, [&] { machine.set(zone + "/energy_uj", "1999999\n"); });
  CHECK_NEAR(wrapped.during["energy_joules"].get<double>(), 3.0, 1e-9);
  CHECK_EQUAL(wrapped.during["energy_source"].get<std::string>(), "rapl");
}

void energy_of_an_inference(Checks& checks) {
  const json process = {
      {"environment", {{"during", {{"energy_joules", 3.0}, {"energy_source", "rapl"}}}}},
      {"timing", {{"timed", 600}}}};
  json run = {{"processes", {process, process}}};
  harness::put_energy_per_inference(run);
  CHECK_NEAR(run["energy"]["joules_per_inference"].get<double>(), 0.005, 1e-12);
  run["processes"][1]["environment"]["during"] = {{"energy_joules", nullptr},
                                                  {"reasons", {{"energy_joules", "no meter"}}}};
  harness::put_energy_per_inference(run);
  CHECK(run["energy"].is_null());
  CHECK_EQUAL(run["reasons"]["energy"].get<std::string>(), "no meter");
}

void siblings_of_pinned_cpus(Checks& checks) {
  const FakeMachine machine;
  machine.set_cpus("topology/thread_siblings_list", "0-3");
  CHECK(measure_on(machine).during["siblings_busy"].is_null());
  machine.pin("1");
  machine.work(0, 0);
  const Measured found = measure_on(machine, [&] { machine.work(50, 50); });
  CHECK_NEAR(found.during["siblings_busy"].get<double>(), 1.5, 1e-9);
  CHECK(found.after["affinity_cpus"] == json::array({1}));
}

void environment_of_a_board(Checks& checks) {
  const test::TemporaryFolder root;
  const std::string cpu = "sys/devices/system/cpu/cpu";
  test::write_text(root / (cpu + "0/cpufreq/scaling_governor"), "performance\n");
  test::write_text(root / (cpu + "1/cpufreq/scaling_governor"), "ondemand\n");
  test::write_text(root / (cpu + "0/cpufreq/scaling_cur_freq"), "1500000\n");
  test::write_text(root / "sys/class/thermal/thermal_zone0/temp", "51234\n");
  test::write_text(root / "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
  test::write_text(root / "proc/cpuinfo",
                   "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\n"
                   "CPU part\t: 0xd0b\n");
  test::write_text(root / "proc/device-tree/model", std::string("Board\0", 6));
  test::write_text(root / "proc/stat", "cpu  1 2 3 4 5 6 7 8 9 0\n");
  const Environment environment(root / "");
  const DeviceInfo device = environment.device();
  CHECK_EQUAL(device.model.value.value_or(""), "Board");
  CHECK_EQUAL(device.cpu.value.value_or(""), "ARM implementer 0x41 part 0xd0b");
  CHECK_EQUAL(device.governor.value.value_or(""), "ondemand,performance");
  CHECK_EQUAL(device.isa_features.size(), 2U);
  CHECK(!device.memory_bytes.value && !device.memory_bytes.reason.empty());
  CHECK(!device.machine_id.value && !device.machine_id.reason.empty());
  const Snapshot snapshot = environment.snapshot();
  CHECK_EQUAL(snapshot.sensors.steal_ticks.value.value_or(0), 8U);
  CHECK_EQUAL(snapshot.sensors.total_ticks.value.value_or(0), 36U);
  CHECK_EQUAL(snapshot.sensors.temperature_millicelsius.value->at(0).second, 51234);
  CHECK(!snapshot.sensors.throttle_count.value && !snapshot.load_average_1m.value);
}

void peaks_of_cpus(Checks& checks) {
  const json pi = {{"isa_features", {"asimd"}},
                   {"cores", 4},
                   {"cpu_kinds", {{{"cpus", {0}}, {"max_frequency_khz", 2'000'000}}}}};
  // Four units of four floats at 2 GHz, and half as much again for an overclocked board.
  CHECK_NEAR(harness::peak_multiply_adds_per_ns(pi, "fp32", 1), 48.0, 1e-9);
  CHECK_NEAR(harness::peak_multiply_adds_per_ns(pi, "int8", 4), 384.0, 1e-9);
  Variant variant;
  variant.precision = "fp32";
  json run = {{"effective", {{"provider", "cpu"}, {"threads", 2}, {"batch", 3}}},
              {"latency", {{"mean", 0}, {"percentiles", {{"50", {{"value", 999'000.0}}}}}}}};
  CHECK(!harness::least_latency_ns(run, variant, pi));
  CHECK(harness::check_plausible(run, variant, pi));
  variant.multiply_adds_per_sample = 128'000'000;
  CHECK_NEAR(*harness::least_latency_ns(run, variant, pi), 1'000'000.0, 1e-3);
  CHECK(!harness::check_plausible(run, variant, pi));
  run["latency"]["percentiles"]["50"]["value"] = 1'001'000.0;
  CHECK(harness::check_plausible(run, variant, pi));
  // All cores where the runtime decides; nothing is known of other providers' hardware.
  run["effective"]["threads"] = 0;
  CHECK_NEAR(*harness::least_latency_ns(run, variant, pi), 500'000.0, 1e-3);
  run["effective"]["provider"] = "cuda";
  CHECK(!harness::least_latency_ns(run, variant, pi));
}

void lists_of_cpus(Checks& checks) {
  CHECK_EQUAL(harness::cpu_list_text({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
  CHECK_EQUAL(harness::cpu_list_text({}), "");
  const FakeMachine machine;
  for (const char* text : {"0-", "3-1", "x", "-1", "0-99999999999"}) {
    machine.set(kCpu + "/online", text);
    CHECK(!Environment(machine.root()).device().online_cpus.value);
  }
  machine.set(kCpu + "/online", "0,2-3\n");
  const auto online = Environment(machine.root()).device().online_cpus.value;
  CHECK(online && *online == CpuList({0, 2, 3}));
}

void this_machine(Checks& checks) {
  const Snapshot now = Environment().snapshot();
  CHECK(now.affinity_cpus.value && !now.affinity_cpus.value->empty());
  CHECK(now.busy_ticks.value && now.sensors.total_ticks.value);
  CHECK(now.counted_cpus > 0 && now.cpu_time_ns > 0);
  const MemoryUse memory = Environment().memory();
  CHECK(memory.resident_bytes.value && memory.peak_resident_bytes.value);
}

}  // namespace

int main() {
  return test::run_all({{"plain_virtual_machine", plain_virtual_machine},
                        {"other_work", other_work},
                        {"desktop", desktop},
                        {"clock_control", clock_control},
                        {"raspberry_pi", raspberry_pi},
                        {"raspberry_pi_changes", raspberry_pi_changes},
                        {"jetson", jetson},
                        {"laptop", laptop},
                        {"fast_and_slow_cores", fast_and_slow_cores},
                        {"energy_counters", energy_counters},
                        {"energy_of_an_inference", energy_of_an_inference},
                        {"siblings_of_pinned_cpus", siblings_of_pinned_cpus},
                        {"environment_of_a_board", environment_of_a_board},
                        {"peaks_of_cpus", peaks_of_cpus},
                        {"lists_of_cpus", lists_of_cpus},
                        {"this_machine", this_machine}});
}
