#include "affinity.hpp"

#include <sched.h>

#include <algorithm>
#include <set>

#include "file.hpp"
#include "numbers.hpp"

namespace edgesmith::harness {
namespace {

Error not_a_list(const std::string& text) {
  return {ErrorCode::kUsage, "'" + text +
                                 "' is no list of CPUs such as 0-3 or 0,2; they go up to " +
                                 std::to_string(CPU_SETSIZE - 1)};
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

Result<std::vector<unsigned>> parse_cpus(const std::string& text) {
  std::set<unsigned> cpus;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    const std::string part = text.substr(start, comma - start);
    const std::size_t dash = part.find('-');
    const std::string first = part.substr(0, dash);
    const std::string last = dash == std::string::npos ? first : part.substr(dash + 1);
    if (!is_number(first) || !is_number(last)) return not_a_list(text);
    const auto from = whole_number(first);
    const auto to = whole_number(last);
    if (!from || !to || *from > *to || *to >= CPU_SETSIZE) return not_a_list(text);
    for (std::int64_t cpu = *from; cpu <= *to; ++cpu) cpus.insert(static_cast<unsigned>(cpu));
    start = comma + 1;
  }
  return std::vector<unsigned>(cpus.begin(), cpus.end());
}

Status confine_to(const std::string& cpus) {
  Result<std::vector<unsigned>> list = parse_cpus(cpus);
  if (!list) return list.error();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : *list) CPU_SET(cpu, &set);
  Result<std::vector<unsigned>> effective = Error{};
  if (::sched_setaffinity(0, sizeof(set), &set) == 0) effective = allowed_cpus();
  // The kernel takes what it can of a list; less than all of it is not what was asked for.
  if (effective && *effective == *list) return Done{};
  return Error{ErrorCode::kUsage,
               "not all of the CPUs " + cpus +
                   " are there for this process; name some of those that `nproc --all` and "
                   "`taskset -p $$` tell of"};
}

Result<std::vector<unsigned>> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) {
    return system_error("the CPUs of this process cannot be read");
  }
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace edgesmith::harness
