/// \file
/// Validation of reports in tests.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace edgesmith::test {

/// What is wrong with a document by a schema file, or an empty text. Without valijson at build time
/// only the absence of nulls without a reason is checked.
std::string schema_problem(const std::string& schema_path, const nlohmann::json& document);

/// The first null that no reason explains, as a path, or an empty text. `error`, and fields of
/// failed runs and processes, explain themselves.
std::string unexplained_null(const nlohmann::json& value, const std::string& path = "");

}  // namespace edgesmith::test
