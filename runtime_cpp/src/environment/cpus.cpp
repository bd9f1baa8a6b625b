#include <algorithm>
#include <set>

#include "environment/sensors.hpp"
#include "environment/sysfs.hpp"

namespace edgesmith::sensors {
namespace {

using Numbers = std::vector<std::uint64_t>;

/// A number of every CPU that has it.
Reading<Numbers> of_each_cpu(const std::string& root, const std::string& name) {
  Numbers values;
  for (const auto& [index, cpu] : sysfs::numbered(root + sysfs::kCpuFolder, "cpu")) {
    if (const auto value = sysfs::count(cpu / name)) values.push_back(*value);
  }
  if (values.empty()) return unreadable<Numbers>("no " + name + " below " + sysfs::kCpuFolder);
  return {std::move(values), {}};
}

Reading<CpuList> listed(const std::string& root, const std::string& name) {
  const std::string path = std::string(sysfs::kCpuFolder) + "/" + name;
  const std::optional<std::string> content = sysfs::text(root + path);
  std::optional<CpuList> cpus = content ? sysfs::to_cpu_list(*content) : std::nullopt;
  if (!cpus) return unreadable<CpuList>(path + " is not readable");
  return {std::move(cpus), {}};
}

/// What is compared between cores: capacities where the kernel knows them, else frequencies.
struct CpuSpeed {
  std::uint64_t cpu = 0;
  std::optional<std::uint64_t> capacity;
  std::optional<std::uint64_t> frequency_khz;
};

std::vector<CpuSpeed> speeds(const std::string& root) {
  std::vector<CpuSpeed> found;
  for (const auto& [index, cpu] : sysfs::numbered(root + sysfs::kCpuFolder, "cpu")) {
    found.push_back({index, sysfs::count(cpu / "cpu_capacity"),
                     sysfs::count(cpu / "cpufreq/cpuinfo_max_freq")});
  }
  return found;
}

}  // namespace

Reading<std::string> governor(const std::string& root) {
  std::set<std::string> governors;
  for (const auto& [index, cpu] : sysfs::numbered(root + sysfs::kCpuFolder, "cpu")) {
    if (auto name = sysfs::text(cpu / "cpufreq/scaling_governor")) governors.insert(*name);
  }
  std::string joined;
  for (const std::string& name : governors) joined += (joined.empty() ? "" : ",") + name;
  return sysfs::known(std::move(joined),
                      std::string("no cpufreq/scaling_governor below ") + sysfs::kCpuFolder);
}

Reading<Numbers> frequencies(const std::string& root) {
  return of_each_cpu(root, "cpufreq/scaling_cur_freq");
}

Reading<Numbers> frequency_limits(const std::string& root) {
  return of_each_cpu(root, "cpufreq/scaling_max_freq");
}

Reading<bool> frequency_fixed(const std::string& root) {
  const Reading<Numbers> lowest = of_each_cpu(root, "cpufreq/scaling_min_freq");
  const Reading<Numbers> highest = frequency_limits(root);
  if (!lowest.value) return unreadable<bool>(lowest.reason);
  if (!highest.value) return unreadable<bool>(highest.reason);
  return {*lowest.value == *highest.value, {}};
}

Reading<CpuList> online(const std::string& root) { return listed(root, "online"); }

Reading<CpuList> isolated(const std::string& root) { return listed(root, "isolated"); }

Reading<std::vector<CpuKind>> kinds(const std::string& root) {
  // Single cores of a kind may clock a few percent higher than their neighbours.
  constexpr double kSameKind = 0.85;
  std::vector<CpuSpeed> cpus = speeds(root);
  const bool capacities = std::all_of(cpus.begin(), cpus.end(),
                                      [](const CpuSpeed& one) { return one.capacity.has_value(); });
  const auto speed = [&](const CpuSpeed& one) {
    return (capacities ? one.capacity : one.frequency_khz).value_or(0);
  };
  if (cpus.empty() ||
      std::any_of(cpus.begin(), cpus.end(), [&](const CpuSpeed& one) { return speed(one) == 0; })) {
    return unreadable<std::vector<CpuKind>>(
        std::string("neither cpu_capacity nor cpufreq/cpuinfo_max_freq of every CPU below ") +
        sysfs::kCpuFolder);
  }
  std::stable_sort(cpus.begin(), cpus.end(),
                   [&](const CpuSpeed& a, const CpuSpeed& b) { return speed(a) > speed(b); });
  std::vector<CpuKind> found;
  std::uint64_t fastest = 0;
  for (const CpuSpeed& one : cpus) {
    if (found.empty() ||
        static_cast<double>(speed(one)) < kSameKind * static_cast<double>(fastest)) {
      found.push_back({{}, one.capacity, one.frequency_khz});
      fastest = speed(one);
    }
    found.back().cpus.push_back(one.cpu);
  }
  for (CpuKind& kind : found) std::sort(kind.cpus.begin(), kind.cpus.end());
  return {std::move(found), {}};
}

CpuList siblings(const std::string& root, const CpuList& cpus) {
  std::set<std::uint64_t> others;
  for (const std::uint64_t cpu : cpus) {
    const auto content = sysfs::text(root + sysfs::kCpuFolder + "/cpu" + std::to_string(cpu) +
                                     "/topology/thread_siblings_list");
    const auto together = content ? sysfs::to_cpu_list(*content) : std::nullopt;
    if (together) others.insert(together->begin(), together->end());
  }
  for (const std::uint64_t cpu : cpus) others.erase(cpu);
  return {others.begin(), others.end()};
}

}  // namespace edgesmith::sensors
