/// \file
/// JSON of foreign files, read so that no two readers can take it for different things.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// Parses a JSON document.
/// \return kModelOrData with the rest of a sentence that begins with the document's name: it is no
///         JSON, nests deeper than any of our formats does, or an object has a key twice (of which
///         some readers take the first, others the last).
Result<nlohmann::json> parse_strict_json(const std::string& text);

}  // namespace edgesmith
