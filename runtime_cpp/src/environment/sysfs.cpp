#include "environment/sysfs.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

#include "file.hpp"

namespace edgesmith::sysfs {

namespace fs = std::filesystem;

std::string trimmed(std::string text) {
  // Device tree strings end with a NUL.
  while (!text.empty() &&
         (text.back() == '\0' || std::isspace(static_cast<unsigned char>(text.back())) != 0))
    text.pop_back();
  return text;
}

std::optional<std::string> text(const Path& path) {
  constexpr std::uint64_t kLimitBytes = std::uint64_t{4} << 20;
  Result<std::string> content = read_file(path.string(), kLimitBytes);
  if (!content) return std::nullopt;
  return trimmed(std::move(*content));
}

std::optional<std::int64_t> to_number(const std::string& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || (stop != end && std::isspace(static_cast<unsigned char>(*stop)) == 0))
    return std::nullopt;
  return value;
}

std::optional<std::int64_t> number(const Path& path) {
  const std::optional<std::string> content = text(path);
  return content ? to_number(*content) : std::nullopt;
}

std::optional<std::uint64_t> count(const Path& path) {
  const std::optional<std::int64_t> value = number(path);
  if (!value || *value < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

std::optional<CpuList> to_cpu_list(const std::string& text) {
  constexpr std::int64_t kMostCpus = 65536;
  CpuList cpus;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t dash = part.find('-');
    const auto first = to_number(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : to_number(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last >= kMostCpus) return std::nullopt;
    for (std::int64_t cpu = *first; cpu <= *last; ++cpu) {
      cpus.push_back(static_cast<std::uint64_t>(cpu));
    }
  }
  return cpus;
}

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

std::vector<Path> entries(const Path& folder) {
  std::vector<Path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::pair<std::uint64_t, Path>> numbered(const Path& folder,
                                                     const std::string& prefix) {
  std::vector<std::pair<std::uint64_t, Path>> found;
  for (const Path& entry : entries(folder)) {
    const std::string name = entry.filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string digits = name.substr(prefix.size());
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::optional<std::int64_t> index = to_number(digits);
    if (index) found.emplace_back(static_cast<std::uint64_t>(*index), entry);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Reading<std::string> known(std::string text, const std::string& reason) {
  if (text.empty()) return unreadable<std::string>(reason);
  return {std::move(text), {}};
}

}  // namespace edgesmith::sysfs
