#include "options.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace edgesmith::test::plugin {
namespace {

// ONNX Runtime puts options among a session's entries, behind the provider's name in small letters.
constexpr const char* kPrefix = "ep.sampleexecutionprovider.";

[[noreturn]] void refuse(const std::string& reason) {
  throw Ort::Exception(std::string(kProviderName) + " " + reason, ORT_INVALID_ARGUMENT);
}

std::vector<Operator> read_operators(const std::string& names) {
  std::vector<Operator> operators;
  for (std::size_t start = 0; start < names.size();) {
    const std::size_t comma = std::min(names.find(',', start), names.size());
    const std::string name = names.substr(start, comma - start);
    const std::optional<Operator> known = operator_from_name(name);
    if (!known) refuse("has no operator '" + name + "'; it has: Add, Relu");
    operators.push_back(*known);
    start = comma + 1;
  }
  return operators;
}

Failure read_failure(const std::string& when) {
  if (when == "load") return Failure::kLoad;
  if (when == "run") return Failure::kRun;
  refuse("cannot fail at '" + when + "'; option fail is load or run");
}

}  // namespace

Options read_options(const OrtSessionOptions& session) {
  OrtKeyValuePairs* pairs = nullptr;
  Ort::ThrowOnError(Ort::GetApi().GetSessionOptionsConfigEntries(&session, &pairs));
  const Ort::KeyValuePairs entries(pairs);
  std::vector<const char*> keys;
  std::vector<const char*> values;
  entries.GetKeyValuePairs(keys, values);
  const std::string prefix = kPrefix;
  Options options;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string key = keys[i];
    if (key.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string name = key.substr(prefix.size());
    if (name == "operators") {
      options.operators = read_operators(values[i]);
    } else if (name == "fail") {
      options.fail = read_failure(values[i]);
    } else {
      refuse("has no option '" + name + "'; it has: fail, operators");
    }
  }
  return options;
}

}  // namespace edgesmith::test::plugin
