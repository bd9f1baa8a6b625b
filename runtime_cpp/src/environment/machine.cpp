#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "edgesmith/environment.hpp"
#include "environment/sensors.hpp"
#include "environment/sysfs.hpp"

namespace edgesmith {
namespace {

constexpr std::array<std::string_view, 32> kInferenceFeatures{
    "sse4_1",   "sse4_2",   "avx",      "avx2",     "fma",         "f16c",        "avx_vnni",
    "avx512f",  "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16", "neon",     "vfpv4",       "asimd",       "fphp",
    "asimdhp",  "asimddp",  "asimdfhm", "i8mm",     "bf16",        "sve",         "sve2",
    "svei8mm",  "svebf16",  "sme",      "sme2"};

std::string cpu_name(const std::string& cpuinfo) {
  std::string name = sysfs::line_value(cpuinfo, "model name");
  if (!name.empty()) return name;
  const std::string implementer = sysfs::line_value(cpuinfo, "CPU implementer");
  const std::string part = sysfs::line_value(cpuinfo, "CPU part");
  if (implementer.empty() || part.empty()) return {};
  return "ARM implementer " + implementer + " part " + part;
}

std::vector<std::string> features(const std::string& cpuinfo) {
  std::string listed = sysfs::line_value(cpuinfo, "flags");
  if (listed.empty()) listed = sysfs::line_value(cpuinfo, "Features");
  std::istringstream words(listed);
  std::vector<std::string> kept;
  for (std::string word; words >> word;) {
    const auto& all = kInferenceFeatures;
    if (std::find(all.begin(), all.end(), word) != all.end()) kept.push_back(word);
  }
  return kept;
}

Reading<std::string> file_text(const std::string& root, const std::string& path) {
  return sysfs::known(sysfs::text(root + path).value_or(""), path + " is not readable");
}

Reading<std::string> virtualization(const std::string& root, const std::string& cpuinfo) {
  for (const char* mark : {"/.dockerenv", "/run/.containerenv", "/run/systemd/container"}) {
    std::error_code error;
    if (std::filesystem::exists(root + mark, error)) return {"container", {}};
  }
  Reading<std::string> xen = file_text(root, "/sys/hypervisor/type");
  if (xen.value) return xen;
  if (file_text(root, "/proc/device-tree/hypervisor/compatible").value) return {"vm", {}};
  const auto vendor = sysfs::text(root + "/sys/class/dmi/id/sys_vendor");
  const auto product = sysfs::text(root + "/sys/class/dmi/id/product_name");
  const std::string firmware = vendor.value_or("") + " " + product.value_or("");
  for (const char* name : {"KVM", "QEMU", "VMware", "VirtualBox", "Xen", "Virtual Machine",
                           "Google Compute Engine", "Amazon EC2"}) {
    if (firmware.find(name) != std::string::npos) return {std::string(name), {}};
  }
  const std::string flags = " " + sysfs::line_value(cpuinfo, "flags") + " ";
  if (flags.find(" hypervisor ") != std::string::npos) return {"vm", {}};
  if (flags.size() > 2) return {"none", {}};
  if (product) return {"none", {}};
  return unreadable<std::string>("neither CPU flags nor firmware names tell it here");
}

/// A size in a "key: 1234 kB" line.
Reading<std::uint64_t> kibibytes_of(const std::string& text, const std::string& key) {
  const auto kibibytes = sysfs::to_number(sysfs::line_value(text, key));
  if (!kibibytes || *kibibytes < 0) {
    return unreadable<std::uint64_t>("the kernel shows no " + key + " here");
  }
  return {static_cast<std::uint64_t>(*kibibytes) * 1024, {}};
}

}  // namespace

DeviceInfo Environment::device() const {
  DeviceInfo info;
  info.machine_id = file_text(root_, "/etc/machine-id");
  info.model = file_text(root_, "/proc/device-tree/model");
  if (!info.model.value) info.model = file_text(root_, "/sys/class/dmi/id/product_name");
  if (!info.model.value) info.model.reason = "neither a device tree nor DMI names the machine";
  const std::string cpuinfo = sysfs::text(root_ + "/proc/cpuinfo").value_or("");
  info.cpu = sysfs::known(cpu_name(cpuinfo), "/proc/cpuinfo names no CPU");
  info.isa_features = features(cpuinfo);
  utsname names{};
  ::uname(&names);
  info.architecture = names.machine;
  info.kernel = std::string(names.sysname) + " " + names.release;
  info.cores = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  const std::string meminfo = sysfs::text(root_ + "/proc/meminfo").value_or("");
  info.memory_bytes = kibibytes_of(meminfo, "MemTotal");
  info.libc = std::string("glibc ") + ::gnu_get_libc_version();
  info.governor = sensors::governor(root_);
  info.virtualization = virtualization(root_, cpuinfo);
  info.online_cpus = sensors::online(root_);
  info.isolated_cpus = sensors::isolated(root_);
  info.cpu_kinds = sensors::kinds(root_);
  info.passive_trip_millicelsius = sensors::passive_trips(root_);
  info.power_mode = sensors::power_mode(root_);
  return info;
}

Sensors Environment::sensors() const {
  Sensors result;
  result.frequency_khz = sensors::frequencies(root_);
  result.frequency_limit_khz = sensors::frequency_limits(root_);
  result.temperature_millicelsius = sensors::temperatures(root_);
  result.throttle_count = sensors::throttle_count(root_);
  result.cooling_state = sensors::cooling_state(root_);
  result.firmware_throttle_flags = sensors::firmware_throttle_flags(root_);
  result.energy = sensors::energy(root_);
  result.power_milliwatts = sensors::power(root_);
  const sensors::CpuTicks ticks = sensors::ticks(root_);
  result.steal_ticks = ticks.steal;
  result.total_ticks = ticks.total;
  return result;
}

Snapshot Environment::snapshot() const {
  Snapshot result;
  result.governor = sensors::governor(root_);
  result.frequency_fixed = sensors::frequency_fixed(root_);
  result.on_battery = sensors::on_battery(root_);
  result.cpu_pressure_us = sensors::cpu_pressure_us(root_);
  result.affinity_cpus = sensors::affinity(root_);
  const CpuList beside = sensors::siblings(root_, result.affinity_cpus.value.value_or(CpuList{}));
  result.sibling_busy_ticks =
      beside.empty() ? unreadable<std::uint64_t>("no SMT sibling outside this process's CPUs")
                     : sensors::busy_ticks(root_, beside);
  sensors::read_load(root_, result);
  result.sensors = sensors();
  // What is set against each other is read last, and together.
  const sensors::CpuTicks ticks = sensors::ticks(root_);
  result.sensors.steal_ticks = ticks.steal;
  result.sensors.total_ticks = ticks.total;
  result.busy_ticks = ticks.busy;
  result.counted_cpus = ticks.cpus;
  sensors::read_usage(result);
  return result;
}

MemoryUse Environment::memory() const {
  const std::string status = sysfs::text(root_ + "/proc/self/status").value_or("");
  const std::string sums = sysfs::text(root_ + "/proc/self/smaps_rollup").value_or("");
  return {kibibytes_of(status, "VmRSS"), kibibytes_of(status, "VmHWM"), kibibytes_of(sums, "Pss"),
          kibibytes_of(status, "RssAnon"), kibibytes_of(status, "RssFile")};
}

std::uint64_t Environment::tick_ns() {
  const long per_second = ::sysconf(_SC_CLK_TCK);
  return 1'000'000'000U / static_cast<std::uint64_t>(per_second > 0 ? per_second : 100);
}

}  // namespace edgesmith
