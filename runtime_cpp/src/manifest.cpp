#include "edgesmith/manifest.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "strict_json.hpp"

namespace edgesmith {
namespace {

using nlohmann::json;

Error bad(const std::string& what) { return {ErrorCode::kIntegrity, "manifest.json: " + what}; }

/// Collects values from an object and remembers the first field that is wrong.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("", "is not an object");
  }

  std::string text(const char* key) {
    const json* value = find(key);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
    fail(key, "is missing or no text");
    return {};
  }

  std::string text(const char* key, const std::string& otherwise) {
    const json* value = find(key);
    if (value == nullptr || value->is_null()) return otherwise;
    return text(key);
  }

  std::int64_t integer(const char* key, std::int64_t otherwise, std::int64_t most) {
    const json* value = find(key);
    if (value == nullptr || value->is_null()) return otherwise;
    const std::int64_t found = integer(key);
    if (found <= most) return found;
    fail(key, "is more than " + std::to_string(most));
    return otherwise;
  }

  std::int64_t integer(const char* key) {
    const json* value = find(key);
    const bool fits = value != nullptr && value->is_number_integer() &&
                      (!value->is_number_unsigned() || value->get<std::uint64_t>() <= INT64_MAX);
    if (fits && value->get<std::int64_t>() >= 0) return value->get<std::int64_t>();
    fail(key, "is missing or no whole number of at least 0");
    return 0;
  }

  std::optional<std::uint64_t> count(const char* key) {
    const json* value = find(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return static_cast<std::uint64_t>(integer(key));
  }

  double real(const char* key, double otherwise) {
    const json* value = find(key);
    if (value == nullptr || value->is_null()) return otherwise;
    if (value->is_number()) return value->get<double>();
    fail(key, "is no number");
    return otherwise;
  }

  /// An object or a list that may be left out; an empty one then.
  const json& part(const char* key, json::value_t type, bool required) {
    static const json kEmptyObject = json::object();
    static const json kEmptyArray = json::array();
    const json* value = find(key);
    if (value != nullptr && value->type() == type) return *value;
    if (required || (value != nullptr && !value->is_null())) fail(key, "is missing or malformed");
    return type == json::value_t::object ? kEmptyObject : kEmptyArray;
  }

  /// An object whose entries are all text; it may be left out.
  std::map<std::string, std::string> texts(const char* key) {
    std::map<std::string, std::string> found;
    for (const auto& [name, value] : part(key, json::value_t::object, false).items()) {
      if (!value.is_string()) fail(key, "has an entry that is no text: " + name);
      if (value.is_string()) found[name] = value.get<std::string>();
    }
    return found;
  }

  void fail(const std::string& key, const std::string& what) {
    const std::string dot = where_.empty() || key.empty() ? "" : ".";
    if (problem_.empty()) problem_ = where_ + dot + key + " " + what;
  }

  const std::string& problem() const { return problem_; }

 private:
  const json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  const json& object_;
  std::string where_;
  std::string problem_;
};

Result<Variant> parse_variant(const json& entry, const std::string& where) {
  Fields fields(entry, where);
  Variant variant;
  variant.name = fields.text("name");
  variant.path = fields.text("path");
  for (const json& path : fields.part("data", json::value_t::array, false)) {
    const bool safe = path.is_string() && is_safe_relative_path(path.get<std::string>());
    if (!safe) fields.fail("data", "has an entry that is no safe relative path");
    if (safe) variant.data.push_back(path.get<std::string>());
  }
  variant.precision = fields.text("precision", "");
  variant.encoding = fields.text("encoding", "");
  variant.provider = fields.text("provider", "cpu");
  variant.self_test_min_sqnr_db = fields.real("self_test_min_sqnr_db", 15.0);
  // Below 0 dB the noise is more than the signal: any output would pass.
  if (variant.self_test_min_sqnr_db < 0) fields.fail("self_test_min_sqnr_db", "is below 0");
  variant.threads = static_cast<int>(fields.integer("threads", 1, 4096));
  Fields options(fields.part("session_options", json::value_t::object, false),
                 where + ".session_options");
  variant.optimization_level = options.text("graph_optimization_level", "all");
  variant.config = options.texts("config");
  Fields operations(fields.part("operations", json::value_t::object, false), where + ".operations");
  variant.multiply_adds_per_sample = operations.count("multiply_adds_per_sample");
  if (!is_safe_relative_path(variant.path)) fields.fail("path", "is not a safe relative path");
  if (!fields.problem().empty()) return bad(fields.problem());
  if (!operations.problem().empty()) return bad(operations.problem());
  if (!options.problem().empty()) return bad(options.problem());
  return variant;
}

Result<ProviderSettings> parse_provider(const std::string& name, const json& entry) {
  Fields fields(entry, "providers." + name);
  ProviderSettings provider;
  provider.name = name;
  provider.library = fields.text("library", "");
  provider.options = fields.texts("options");
  provider.device = fields.texts("device");
  provider.optimization_level = fields.text("graph_optimization_level", "");
  const std::set<std::string> levels{"", "all", "extended", "basic", "disable"};
  if (levels.count(provider.optimization_level) == 0) {
    fields.fail("graph_optimization_level", "is not known");
  }
  if (!provider.library.empty() && !is_safe_relative_path(provider.library)) {
    fields.fail("library", "is not a safe relative path");
  }
  if (!fields.problem().empty()) return bad(fields.problem());
  return provider;
}

std::optional<unsigned> parse_mode(const std::string& text) {
  if (text.size() != 4 || text.find_first_not_of("01234567") != std::string::npos) return {};
  const auto mode = static_cast<unsigned>(std::stoul(text, nullptr, 8));
  // Nothing set-user-id, and nothing that others may write.
  if ((mode & 07022U) != 0) return {};
  return mode;
}

Result<ManifestFile> parse_file(const json& entry, const std::string& where) {
  Fields fields(entry, where);
  ManifestFile file;
  file.path = fields.text("path");
  file.bytes = static_cast<std::uint64_t>(fields.integer("bytes"));
  file.sha256 = fields.text("sha256");
  file.role = fields.text("role");
  const std::optional<unsigned> mode = parse_mode(fields.text("mode", "0644"));
  if (!mode) fields.fail("mode", "is not like \"0644\", or lets others write");
  file.mode = mode.value_or(0644);
  if (!is_sha256(file.sha256)) fields.fail("sha256", "is no sha256");
  if (!is_safe_relative_path(file.path)) fields.fail("path", "is not a safe relative path");
  if (!fields.problem().empty()) return bad(fields.problem());
  return file;
}

/// Whether all files can stand in one folder, beside the manifest.
Status check_places(const std::set<std::string>& paths) {
  for (const std::string& path : paths) {
    if (path.substr(0, path.find('/')) == "manifest.json") return bad(path + " is the manifest's");
    for (std::size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      if (paths.count(path.substr(0, slash)) != 0) return bad(path + " is below another file");
    }
  }
  return Done{};
}

Status parse_lists(Fields& fields, Manifest& manifest) {
  std::set<std::string> names;
  const json& variants = fields.part("variants", json::value_t::array, true);
  for (std::size_t i = 0; i < variants.size(); ++i) {
    auto variant = parse_variant(variants[i], "variants[" + std::to_string(i) + "]");
    if (!variant) return variant.error();
    if (!names.insert(variant->name).second) return bad("two variants named " + variant->name);
    manifest.variants.push_back(std::move(*variant));
  }
  std::set<std::string> paths;
  const json& files = fields.part("files", json::value_t::array, true);
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto file = parse_file(files[i], "files[" + std::to_string(i) + "]");
    if (!file) return file.error();
    if (!paths.insert(file->path).second) return bad("two files at " + file->path);
    manifest.files.push_back(std::move(*file));
  }
  if (Status status = check_places(paths); !status) return status;
  for (const auto& [name, entry] : fields.part("providers", json::value_t::object, false).items()) {
    auto provider = parse_provider(name, entry);
    if (!provider) return provider.error();
    manifest.providers.emplace(name, std::move(*provider));
  }
  for (const json& metric : fields.part("metrics", json::value_t::array, false)) {
    if (!metric.is_string()) return bad("metrics has an entry that is no text");
    manifest.metrics.push_back(metric.get<std::string>());
  }
  return Done{};
}

}  // namespace

const Variant* Manifest::find_variant(const std::string& name) const {
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [&](const Variant& variant) { return variant.name == name; });
  return found == variants.end() ? nullptr : &*found;
}

const ManifestFile* Manifest::find_file(const std::string& path) const {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const ManifestFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

Result<Manifest> parse_manifest(const std::string& text) {
  const Result<json> parsed = parse_strict_json(text);
  if (!parsed) return bad(parsed.error().message);
  const json& document = *parsed;
  Fields fields(document, "");
  const std::string version = fields.text("schema_version");
  if (!fields.problem().empty()) return bad(fields.problem());
  if (version.substr(0, version.find('.')) != "1") {
    return bad("schema version " + version + "; this program reads version 1");
  }
  Manifest manifest;
  Fields model(fields.part("model", json::value_t::object, true), "model");
  manifest.model_name = model.text("name");
  manifest.model_version = model.text("version", "");
  manifest.target = fields.text("target", "");
  manifest.platform = fields.text("platform", "");
  manifest.sequence = fields.integer("sequence");
  manifest.default_variant = fields.text("default_variant");
  if (Status status = parse_lists(fields, manifest); !status) return status.error();
  if (!fields.problem().empty()) return bad(fields.problem());
  if (!model.problem().empty()) return bad(model.problem());
  if (manifest.find_variant(manifest.default_variant) == nullptr) {
    return bad("default_variant names no variant: " + manifest.default_variant);
  }
  return manifest;
}

bool is_safe_relative_path(const std::string& path) {
  if (path.empty() || path.size() > 1024 || path.back() == '/') return false;
  for (const char character : path) {
    const auto code = static_cast<unsigned char>(character);
    if (code < 0x20 || code == 0x7f) return false;
  }
  std::size_t start = 0;
  while (start <= path.size()) {
    const std::size_t slash = std::min(path.find('/', start), path.size());
    const std::string component = path.substr(start, slash - start);
    if (component.empty() || component == "." || component == ".." || component.size() > 255) {
      return false;
    }
    start = slash + 1;
  }
  return true;
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace edgesmith
