#include <sys/resource.h>

#include <array>
#include <ctime>
#include <numeric>
#include <sstream>

#include "environment/sensors.hpp"
#include "environment/sysfs.hpp"

namespace edgesmith::sensors {
namespace {

// Columns of /proc/stat; 3 is idle, 4 iowait; guest time is already in user.
constexpr std::size_t kUser = 0;
constexpr std::size_t kNice = 1;
constexpr std::size_t kSystem = 2;
constexpr std::size_t kIrq = 5;
constexpr std::size_t kSoftirq = 6;
constexpr std::size_t kSteal = 7;
using TickRow = std::array<std::uint64_t, 8>;

constexpr const char* kNoTicks = "/proc/stat has no line of CPU times";

/// The line with this label, such as "cpu" or "cpu3".
std::optional<TickRow> tick_row(const std::string& stat, const std::string& label) {
  std::istringstream lines(stat);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string found;
    TickRow row{};
    words >> found;
    if (found != label) continue;
    for (std::uint64_t& value : row) words >> value;
    if (words) return row;
    return std::nullopt;
  }
  return std::nullopt;
}

/// How many CPUs have a line of their own; those that are off have none.
std::uint64_t cpu_rows(const std::string& stat) {
  std::istringstream lines(stat);
  std::uint64_t rows = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, 3, "cpu") == 0 && line.size() > 3 && line[3] != ' ') ++rows;
  }
  return rows;
}

std::uint64_t busy_of(const TickRow& row) {
  return row[kUser] + row[kNice] + row[kSystem] + row[kIrq] + row[kSoftirq];
}

}  // namespace

CpuTicks ticks(const std::string& root) {
  const std::optional<std::string> stat = sysfs::text(root + "/proc/stat");
  const std::optional<TickRow> row = stat ? tick_row(*stat, "cpu") : std::nullopt;
  if (!row) {
    const auto none = unreadable<std::uint64_t>(kNoTicks);
    return {none, none, none, 0};
  }
  return {{(*row)[kSteal], {}},
          {std::accumulate(row->begin(), row->end(), std::uint64_t{0}), {}},
          {busy_of(*row), {}},
          cpu_rows(*stat)};
}

Reading<std::uint64_t> busy_ticks(const std::string& root, const CpuList& cpus) {
  const std::string stat = sysfs::text(root + "/proc/stat").value_or("");
  std::uint64_t sum = 0;
  for (const std::uint64_t cpu : cpus) {
    const std::optional<TickRow> row = tick_row(stat, "cpu" + std::to_string(cpu));
    if (!row) return unreadable<std::uint64_t>(kNoTicks);
    sum += busy_of(*row);
  }
  return {sum, {}};
}

Reading<std::uint64_t> cpu_pressure_us(const std::string& root) {
  // some avg10=0.00 avg60=0.00 avg300=0.00 total=12345
  std::istringstream words(sysfs::text(root + "/proc/pressure/cpu").value_or(""));
  const std::string key = "total=";
  for (std::string word; words >> word && word != "full";) {
    if (word.compare(0, key.size(), key) != 0) continue;
    const auto value = sysfs::to_number(word.substr(key.size()));
    if (value && *value >= 0) return {static_cast<std::uint64_t>(*value), {}};
  }
  return unreadable<std::uint64_t>("/proc/pressure/cpu is not readable");
}

Reading<CpuList> affinity(const std::string& root) {
  const std::string status = sysfs::text(root + "/proc/self/status").value_or("");
  const std::string list = sysfs::line_value(status, "Cpus_allowed_list");
  std::optional<CpuList> cpus = sysfs::to_cpu_list(list);
  if (list.empty() || !cpus) {
    return unreadable<CpuList>("/proc/self/status has no Cpus_allowed_list");
  }
  return {std::move(cpus), {}};
}

void read_load(const std::string& root, Snapshot& snapshot) {
  // 0.20 0.18 0.12 1/80 11206
  std::istringstream words(sysfs::text(root + "/proc/loadavg").value_or(""));
  double one_minute = 0;
  double skipped = 0;
  std::uint64_t runnable = 0;
  if (words >> one_minute >> skipped >> skipped >> runnable) {
    snapshot.load_average_1m = {one_minute, {}};
    snapshot.runnable_tasks = {runnable, {}};
  } else {
    snapshot.load_average_1m = unreadable<double>("/proc/loadavg is not readable");
    snapshot.runnable_tasks = unreadable<std::uint64_t>("/proc/loadavg is not readable");
  }
}

void read_usage(Snapshot& snapshot) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  snapshot.voluntary_context_switches = static_cast<std::uint64_t>(usage.ru_nvcsw);
  snapshot.involuntary_context_switches = static_cast<std::uint64_t>(usage.ru_nivcsw);
  snapshot.minor_page_faults = static_cast<std::uint64_t>(usage.ru_minflt);
  snapshot.major_page_faults = static_cast<std::uint64_t>(usage.ru_majflt);
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  snapshot.cpu_time_ns = static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
                         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace edgesmith::sensors
