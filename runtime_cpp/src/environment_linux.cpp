#include <gnu/libc-version.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <set>
#include <sstream>
#include <string_view>

#include "edgesmith/environment.hpp"
#include "file.hpp"

namespace edgesmith {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kTextLimitBytes = std::uint64_t{4} << 20;

constexpr std::array<std::string_view, 30> kInferenceFeatures{
    "sse4_1",      "sse4_2",      "avx",      "avx2",     "fma",      "f16c",
    "avx_vnni",    "avx512f",     "avx512bw", "avx512vl", "avx512dq", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "neon",
    "vfpv4",       "asimd",       "fphp",     "asimdhp",  "asimddp",  "asimdfhm",
    "i8mm",        "bf16",        "sve",      "sve2",     "svei8mm",  "svebf16"};

std::string trimmed(std::string text) {
  // Device tree strings end with a NUL.
  while (!text.empty() &&
         (text.back() == '\0' || std::isspace(static_cast<unsigned char>(text.back())) != 0))
    text.pop_back();
  return text;
}

/// The value of the first "key : value" line, or an empty text.
std::string line_value(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const std::size_t colon = line.find(':', key.size());
    if (colon == std::string::npos) continue;
    if (line.find_first_not_of(" \t", key.size()) != colon) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : trimmed(line.substr(start));
  }
  return {};
}

std::optional<std::int64_t> number(const std::string& text) {
  try {
    return std::stoll(text);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// Folders whose name is `prefix` and a number, in the order of the numbers.
std::vector<fs::path> numbered(const fs::path& folder, const std::string& prefix) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string digits = name.substr(prefix.size());
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    found.emplace_back(number(digits).value_or(0), entry->path());
  }
  std::sort(found.begin(), found.end());
  std::vector<fs::path> paths;
  paths.reserve(found.size());
  for (const auto& [index, path] : found) paths.push_back(path);
  return paths;
}

Reading<std::string> known(std::string text, const std::string& reason) {
  if (text.empty()) return unreadable<std::string>(reason);
  return {std::move(text), {}};
}

std::string cpu_name(const std::string& cpuinfo) {
  std::string name = line_value(cpuinfo, "model name");
  if (!name.empty()) return name;
  const std::string implementer = line_value(cpuinfo, "CPU implementer");
  const std::string part = line_value(cpuinfo, "CPU part");
  if (implementer.empty() || part.empty()) return {};
  return "ARM implementer " + implementer + " part " + part;
}

std::vector<std::string> features(const std::string& cpuinfo) {
  std::string listed = line_value(cpuinfo, "flags");
  if (listed.empty()) listed = line_value(cpuinfo, "Features");
  std::istringstream words(listed);
  std::vector<std::string> kept;
  for (std::string word; words >> word;) {
    const auto& all = kInferenceFeatures;
    if (std::find(all.begin(), all.end(), word) != all.end()) kept.push_back(word);
  }
  return kept;
}

Reading<std::vector<std::uint64_t>> affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) {
    return unreadable<std::vector<std::uint64_t>>("sched_getaffinity failed");
  }
  std::vector<std::uint64_t> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return {std::move(cpus), {}};
}

}  // namespace

Reading<std::string> Environment::text(const std::string& path) const {
  Result<std::string> content = read_file(root_ + path, kTextLimitBytes);
  if (!content) return unreadable<std::string>(content.error().message);
  return {trimmed(std::move(*content)), {}};
}

Reading<std::string> Environment::governor() const {
  const std::string folder = "/sys/devices/system/cpu";
  std::set<std::string> governors;
  for (const fs::path& cpu : numbered(root_ + folder, "cpu")) {
    const auto content = read_file((cpu / "cpufreq/scaling_governor").string(), kTextLimitBytes);
    if (content) governors.insert(trimmed(*content));
  }
  std::string joined;
  for (const std::string& name : governors) joined += (joined.empty() ? "" : ",") + name;
  return known(std::move(joined), "no cpufreq/scaling_governor below " + folder);
}

Reading<std::vector<std::uint64_t>> Environment::frequencies() const {
  const std::string folder = "/sys/devices/system/cpu";
  std::vector<std::uint64_t> values;
  for (const fs::path& cpu : numbered(root_ + folder, "cpu")) {
    const auto content = read_file((cpu / "cpufreq/scaling_cur_freq").string(), kTextLimitBytes);
    const auto value = content ? number(*content) : std::nullopt;
    if (value && *value >= 0) values.push_back(static_cast<std::uint64_t>(*value));
  }
  if (values.empty()) {
    return unreadable<std::vector<std::uint64_t>>("no cpufreq/scaling_cur_freq below " + folder);
  }
  return {std::move(values), {}};
}

Reading<std::vector<std::pair<std::string, std::int64_t>>> Environment::temperatures() const {
  using Zones = std::vector<std::pair<std::string, std::int64_t>>;
  const std::string folder = "/sys/class/thermal";
  Zones zones;
  for (const fs::path& zone : numbered(root_ + folder, "thermal_zone")) {
    const auto content = read_file((zone / "temp").string(), kTextLimitBytes);
    const auto value = content ? number(*content) : std::nullopt;
    if (!value) continue;
    const auto type = read_file((zone / "type").string(), kTextLimitBytes);
    zones.emplace_back(type ? trimmed(*type) : zone.filename().string(), *value);
  }
  if (zones.empty()) return unreadable<Zones>("no readable thermal zone in " + folder);
  return {std::move(zones), {}};
}

Reading<std::uint64_t> Environment::throttle_count() const {
  const std::string folder = "/sys/devices/system/cpu";
  std::uint64_t sum = 0;
  bool found = false;
  for (const fs::path& cpu : numbered(root_ + folder, "cpu")) {
    for (const char* name : {"core_throttle_count", "package_throttle_count"}) {
      const auto content = read_file((cpu / "thermal_throttle" / name).string(), kTextLimitBytes);
      const auto value = content ? number(*content) : std::nullopt;
      if (!value || *value < 0) continue;
      found = true;
      sum += static_cast<std::uint64_t>(*value);
    }
  }
  if (!found) return unreadable<std::uint64_t>("no thermal_throttle counters below " + folder);
  return {sum, {}};
}

Reading<std::string> Environment::virtualization(const std::string& cpuinfo) const {
  for (const char* mark : {"/.dockerenv", "/run/.containerenv", "/run/systemd/container"}) {
    std::error_code error;
    if (fs::exists(root_ + mark, error)) return {"container", {}};
  }
  Reading<std::string> xen = text("/sys/hypervisor/type");
  if (xen.value && !xen.value->empty()) return xen;
  const Reading<std::string> tree = text("/proc/device-tree/hypervisor/compatible");
  if (tree.value && !tree.value->empty()) return {"vm", {}};
  const Reading<std::string> vendor = text("/sys/class/dmi/id/sys_vendor");
  const Reading<std::string> product = text("/sys/class/dmi/id/product_name");
  const std::string firmware = vendor.value.value_or("") + " " + product.value.value_or("");
  for (const char* name : {"KVM", "QEMU", "VMware", "VirtualBox", "Xen", "Virtual Machine",
                           "Google Compute Engine", "Amazon EC2"}) {
    if (firmware.find(name) != std::string::npos) return {std::string(name), {}};
  }
  const std::string flags = " " + line_value(cpuinfo, "flags") + " ";
  if (flags.find(" hypervisor ") != std::string::npos) return {"vm", {}};
  if (flags.size() > 2) return {"none", {}};
  if (product.value) return {"none", {}};
  return unreadable<std::string>("neither CPU flags nor firmware names tell it here");
}

DeviceInfo Environment::device() const {
  DeviceInfo info;
  info.machine_id = text("/etc/machine-id");
  info.model = text("/proc/device-tree/model");
  if (!info.model.value) info.model = text("/sys/class/dmi/id/product_name");
  if (!info.model.value) info.model.reason = "neither a device tree nor DMI names the machine";
  const std::string cpuinfo = text("/proc/cpuinfo").value.value_or("");
  info.cpu = known(cpu_name(cpuinfo), "/proc/cpuinfo names no CPU");
  info.isa_features = features(cpuinfo);
  utsname names{};
  ::uname(&names);
  info.architecture = names.machine;
  info.kernel = std::string(names.sysname) + " " + names.release;
  info.cores = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  const std::string meminfo = text("/proc/meminfo").value.value_or("");
  info.memory_bytes = status_bytes(meminfo, "MemTotal");
  info.libc = std::string("glibc ") + ::gnu_get_libc_version();
  info.governor = governor();
  info.virtualization = virtualization(cpuinfo);
  return info;
}

void Environment::read_ticks(Snapshot& snapshot) const {
  const Reading<std::string> stat = text("/proc/stat");
  std::istringstream words(stat.value.value_or(""));
  std::string label;
  // user nice system idle iowait irq softirq steal; guest time is already in user.
  std::array<std::uint64_t, 8> ticks{};
  words >> label;
  for (std::uint64_t& value : ticks) words >> value;
  if (label != "cpu" || !words) {
    snapshot.steal_ticks = unreadable<std::uint64_t>("/proc/stat has no line of CPU times");
    snapshot.total_ticks = snapshot.steal_ticks;
    return;
  }
  snapshot.steal_ticks = {ticks.back(), {}};
  snapshot.total_ticks = {std::accumulate(ticks.begin(), ticks.end(), std::uint64_t{0}), {}};
}

Snapshot Environment::snapshot() const {
  Snapshot result;
  result.governor = governor();
  result.frequency_khz = frequencies();
  result.temperature_millicelsius = temperatures();
  result.throttle_count = throttle_count();
  const Reading<std::string> load = text("/proc/loadavg");
  double one_minute = 0;
  if (load.value && std::istringstream(*load.value) >> one_minute) {
    result.load_average_1m = {one_minute, {}};
  } else {
    result.load_average_1m = unreadable<double>("/proc/loadavg is not readable");
  }
  read_ticks(result);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  result.voluntary_context_switches = static_cast<std::uint64_t>(usage.ru_nvcsw);
  result.involuntary_context_switches = static_cast<std::uint64_t>(usage.ru_nivcsw);
  result.minor_page_faults = static_cast<std::uint64_t>(usage.ru_minflt);
  result.major_page_faults = static_cast<std::uint64_t>(usage.ru_majflt);
  result.affinity_cpus = affinity();
  return result;
}

Reading<std::uint64_t> Environment::status_bytes(const std::string& status,
                                                 const std::string& key) {
  const auto kibibytes = number(line_value(status, key));
  if (!kibibytes || *kibibytes < 0) {
    return unreadable<std::uint64_t>("the kernel shows no " + key + " here");
  }
  return {static_cast<std::uint64_t>(*kibibytes) * 1024, {}};
}

MemoryUse Environment::memory() const {
  const std::string status = text("/proc/self/status").value.value_or("");
  return {status_bytes(status, "VmRSS"), status_bytes(status, "VmHWM")};
}

}  // namespace edgesmith
