#include "report_schema.hpp"

#include <set>

#include "programs.hpp"

#ifdef EDGESMITH_TEST_VALIJSON
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
#endif

namespace edgesmith::test {

using nlohmann::json;

std::string unexplained_null(const json& value, const std::string& path) {
  // Null is these fields' way to say "nothing": no error, not asked for, not ended by a signal.
  static const std::set<std::string> kOptional{"error",  "profile",     "samples_ref",
                                               "signal", "exit_status", "passed"};
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string found = unexplained_null(value[i], path + "/" + std::to_string(i));
      if (!found.empty()) return found;
    }
  }
  if (!value.is_object()) return {};
  if (value.contains("error") && value["error"].is_object()) return {};
  for (const auto& [key, part] : value.items()) {
    const bool explained =
        (value.contains("reasons") && value["reasons"].contains(key)) || value.contains("reason");
    if (part.is_null() && !explained && kOptional.count(key) == 0) return path + "/" + key;
    const std::string found = unexplained_null(part, path + "/" + key);
    if (!found.empty()) return found;
  }
  return {};
}

std::string schema_problem(const std::string& schema_path, const json& document) {
  if (document.is_discarded()) return "it is not JSON";
  if (std::string found = unexplained_null(document); !found.empty()) {
    return "null without a reason at " + found;
  }
#ifdef EDGESMITH_TEST_VALIJSON
  const json schema_document = json::parse(read_text(schema_path));
  valijson::Schema schema;
  valijson::SchemaParser parser;
  parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_document), schema);
  valijson::Validator validator;
  valijson::ValidationResults results;
  if (validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(document), &results)) {
    return {};
  }
  std::string text;
  valijson::ValidationResults::Error error;
  while (results.popError(error) && text.size() < 2000) {
    for (const std::string& part : error.context) text += part;
    text += ": " + error.description + "\n";
  }
  return text.empty() ? "it does not fit" : text;
#else
  static_cast<void>(schema_path);
  return {};
#endif
}

}  // namespace edgesmith::test
