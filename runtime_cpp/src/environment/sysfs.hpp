/// \file
/// The small files of /proc and /sys, as texts and numbers. Private to the runtime.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "edgesmith/environment.hpp"

namespace edgesmith::sysfs {

using Path = std::filesystem::path;

/// The file's text without white space and NULs at its end; nothing if it cannot be read.
std::optional<std::string> text(const Path& path);
std::optional<std::int64_t> number(const Path& path);
/// The same; nothing for a negative number.
std::optional<std::uint64_t> count(const Path& path);

std::string trimmed(std::string text);
std::optional<std::int64_t> to_number(const std::string& text);
/// Numbers of a list like "0-3,8"; nothing if it is none. An empty text is an empty list.
std::optional<CpuList> to_cpu_list(const std::string& text);
/// The value of the first "key : value" line, or an empty text.
std::string line_value(const std::string& text, std::string_view key);

/// Entries of a folder, by name.
std::vector<Path> entries(const Path& folder);
/// Folders whose name is `prefix` and a number, in the order of the numbers.
std::vector<std::pair<std::uint64_t, Path>> numbered(const Path& folder, const std::string& prefix);

/// The text, or the reason if it is empty.
Reading<std::string> known(std::string text, const std::string& reason);

constexpr const char* kCpuFolder = "/sys/devices/system/cpu";

}  // namespace edgesmith::sysfs
