#include "provider_choice.hpp"

#include "output.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

Error unknown(const Manifest& manifest, const std::string& name) {
  std::vector<std::string> known{"cpu", "openvino", "cuda", "tensorrt"};
  for (const auto& [plugin, settings] : manifest.providers) {
    if (!settings.library.empty()) known.push_back(plugin);
  }
  return {ErrorCode::kUsage, "provider '" + name + "' is not known; " + suggestion(name, known) +
                                 "; a plugin outside of the bundle needs --provider-library"};
}

Result<ProviderSettings> set_up(const Bundle& bundle, const std::string& name) {
  const auto listed = bundle.manifest.providers.find(name);
  if (listed == bundle.manifest.providers.end()) {
    ProviderSettings plain;
    plain.name = name;
    return plain;
  }
  ProviderSettings settings = listed->second;
  if (settings.library.empty()) return settings;
  if (Status status = check_bundle_file(bundle, settings.library); !status) return status.error();
  settings.library = bundle.root + "/" + settings.library;
  return settings;
}

/// What would be ignored in silence, or measured under another's name.
Status check_fits(const Options& options, const ProviderSettings& one) {
  if (one.name == "cpu" && !one.library.empty()) {
    return Error{ErrorCode::kUsage, "provider 'cpu' is ONNX Runtime's own; call that of " +
                                        one.library + " otherwise"};
  }
  const auto type = options.provider_device.find("type");
  if (type != options.provider_device.end() && type->second != "cpu" && type->second != "gpu" &&
      type->second != "npu") {
    return Error{ErrorCode::kUsage,
                 "--provider-device type=" + type->second + ": a type is cpu, gpu or npu"};
  }
  if (one.library.empty() && !options.provider_device.empty()) {
    return Error{ErrorCode::kUsage, "--provider-device is for plugins; '" + one.name + "' is none"};
  }
  if (one.name == "cpu" && !options.provider_options.empty()) {
    return Error{ErrorCode::kUsage, "provider 'cpu' takes no options"};
  }
  return Done{};
}

}  // namespace

Result<std::vector<ProviderSettings>> chosen_providers(const Bundle& bundle, const Options& options,
                                                       const Variant& variant,
                                                       const std::string& name) {
  std::vector<ProviderSettings> chosen;
  for (const std::string& one : with_helpers(name)) {
    Result<ProviderSettings> settings = set_up(bundle, one);
    if (!settings) return settings.error();
    chosen.push_back(std::move(*settings));
  }
  ProviderSettings& first = chosen.front();
  // The variant's session options are those of its own provider.
  if (name == variant.provider) first.optimization_level.clear();
  if (!options.provider_library.empty()) first.library = options.provider_library;
  for (const auto& [key, value] : options.provider_options) first.options[key] = value;
  if (!options.provider_device.empty()) first.device = options.provider_device;
  if (first.library.empty() && runtime_provider_name(name).empty()) {
    return unknown(bundle.manifest, name);
  }
  if (Status status = check_fits(options, first); !status) return status.error();
  return chosen;
}

std::string fallback_words(const ProviderFallback& fallback, const std::string& used) {
  return "provider " + fallback.provider + " is not used: " + fallback.reason + "; " + used +
         " takes its place";
}

nlohmann::json fallbacks_json(const Session& session) {
  nlohmann::json list = nlohmann::json::array();
  for (const ProviderFallback& one : session.fallbacks()) {
    list.push_back({{"provider", one.provider}, {"reason", one.reason}});
  }
  return list;
}

void say_engines(const EngineCacheUse& engines) {
  if (engines.state != "made anew") return;
  say("harness: the engines in " + engines.folder + " are made anew: " + engines.reason);
}

}  // namespace edgesmith::harness
