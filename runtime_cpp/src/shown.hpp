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

/// "did you mean X?" where a known word differs from `given` in at most a third of its letters,
/// else "known: X, Y". \param quote Stands around each word.
std::string suggestion(const std::string& given, const std::vector<std::string>& known,
                       const std::string& quote = "");

/// The error of a model or data that are not as they should be.
inline Error bad_data(const std::string& what) { return {ErrorCode::kModelOrData, what}; }

}  // namespace edgesmith
