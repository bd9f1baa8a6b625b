/// \file
/// Machines as trees of small files below a folder, and a measurement on one of them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "edgesmith/environment.hpp"
#include "environment_json.hpp"
#include "observer.hpp"
#include "programs.hpp"
#include "verdict.hpp"

namespace edgesmith::test {

inline const std::string kCpu = "/sys/devices/system/cpu";

/// A machine of which nothing but its work can be read: a plain virtual machine.
class FakeMachine {
 public:
  explicit FakeMachine(unsigned cpus = 4) : cpus_(cpus) {
    const std::string all = "0-" + std::to_string(cpus - 1);
    set("/proc/self/status", "Name:\tx\nCpus_allowed_list:\t" + all + "\n");
    set("/proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
    set("/proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n");
    set("/proc/cpuinfo", "flags : fpu avx2 hypervisor\n");
    set(kCpu + "/online", all + "\n");
    set(kCpu + "/isolated", "\n");
    std::filesystem::create_directories(root() + "/sys/class/power_supply");
    work(0, 0);
  }

  std::string root() const { return folder_ / "root"; }
  void set(const std::string& path, const std::string& text) const {
    write_text(root() + path, text);
  }
  void remove(const std::string& path) const { std::filesystem::remove_all(root() + path); }

  /// For every CPU a file of this name below its folder.
  void set_cpus(const std::string& name, const std::string& text) const {
    for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
      set(kCpu + "/cpu" + std::to_string(cpu) + "/" + name, text + "\n");
    }
  }

  /// The clock of all CPUs under control, at this frequency.
  void set_clock(const std::string& khz) const {
    set_cpus("cpufreq/scaling_governor", "performance");
    for (const char* name : {"scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq"}) {
      set_cpus(std::string("cpufreq/") + name, khz);
    }
    set_cpus("cpufreq/scaling_min_freq", "400000");
  }

  void pin(const std::string& list) const {
    set("/proc/self/status", "Cpus_allowed_list:\t" + list + "\n");
  }

  /// Ticks that every CPU was busy and idle so far.
  void work(unsigned busy, unsigned idle) const {
    const auto row = [&](const std::string& label, unsigned cpus) {
      return label + " " + std::to_string(busy * cpus) + " 0 0 " + std::to_string(idle * cpus) +
             " 0 0 0 0 0 0\n";
    };
    std::string text = row("cpu ", cpus_);
    for (unsigned cpu = 0; cpu < cpus_; ++cpu) text += row("cpu" + std::to_string(cpu), 1);
    set("/proc/stat", text + "procs_running 1\n");
  }

 private:
  TemporaryFolder folder_;
  unsigned cpus_;
};

struct Measured {
  nlohmann::json before;
  nlohmann::json during;
  nlohmann::json after;
  nlohmann::json device;
  harness::Verdict verdict;

  nlohmann::json condition(const std::string& name) const {
    for (const nlohmann::json& one : verdict.conditions) {
      if (one["name"] == name) return one;
    }
    return nullptr;
  }
  std::string advice(const std::string& name) const {
    return condition(name)["advice"].get<std::string>();
  }
};

/// Two seconds of measurement whose latencies are beyond reproach. \param meanwhile Changes the
/// machine before the observation in the middle. \param later The same before the end.
inline Measured measure_on(
    const FakeMachine& machine, const std::function<void()>& meanwhile = [] {},
    const std::function<void()>& later = [] {}) {
  using nlohmann::json;
  const Environment environment(machine.root());
  harness::Observer observer(environment);
  Measured result;
  machine.work(0, 0);
  result.device =
      harness::device_json(environment.device(), unreadable<std::string>("none"), false);
  result.before = harness::snapshot_json(environment.snapshot());
  observer.set_active(true);
  machine.work(1, 99);
  meanwhile();
  observer.observe();
  later();
  observer.set_active(false);
  result.after = harness::snapshot_json(environment.snapshot());
  json own = {{"before", result.before}, {"during", nullptr}, {"after", result.after}};
  result.during = observer.result(own);
  own["during"] = result.during;
  const json process = {{"environment", own}, {"warmup", {{"iterations", 0}, {"kind", "flat"}}}};
  const json run = {{"processes", {process, process}},
                    {"requested", {{"provider", "cpu"}, {"threads", 1}}},
                    {"effective", {{"provider", "cpu"}}},
                    {"latency", nullptr}};
  const std::vector<std::int64_t> steady(1000, 1'000'000);
  const std::vector<std::int64_t> pooled(2000, 1'000'000);
  result.verdict = harness::judge({run, pooled, {steady, steady}, result.device, false});
  return result;
}

}  // namespace edgesmith::test
