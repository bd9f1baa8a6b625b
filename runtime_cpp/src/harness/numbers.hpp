/// \file
/// Numbers in texts from a command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace edgesmith::harness {

/// A finite number that takes up the whole text.
std::optional<double> real_number(const std::string& text);

/// A whole number that takes up the whole text and fits.
std::optional<std::int64_t> whole_number(const std::string& text);

}  // namespace edgesmith::harness
