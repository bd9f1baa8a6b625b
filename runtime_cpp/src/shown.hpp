/// \file
/// Words of messages: foreign strings made harmless, guesses at what was meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// Printable ASCII that shows `text`: what is not printable becomes an escape.
std::string shown(std::string_view text);

/// The same in single quotes.
std::string in_quotes(std::string_view text);

/// One number by a printf format of a few characters.
std::string formatted(const char* format, double value);

/// The word that takes the fewest edits to become `given`. \param known Not empty.
std::string nearest(const std::string& given, const std::vector<std::string>& known);

/// The error of a model or data that are not as they should be.
inline Error bad_data(const std::string& what) { return {ErrorCode::kModelOrData, what}; }

}  // namespace edgesmith
