#include "run_spec.hpp"

#include <nlohmann/json.hpp>

namespace edgesmith::harness {

using nlohmann::json;

namespace {

json providers_json(const RunSpec& spec) {
  json list = json::array();
  for (const ProviderSettings& one : spec.providers) {
    list.push_back({{"name", one.name},
                    {"options", one.options},
                    {"device", one.device},
                    {"optimization_level", one.optimization_level}});
  }
  return list;
}

std::vector<ProviderSettings> providers_from(const json& list, const std::string& library) {
  std::vector<ProviderSettings> providers;
  for (const json& entry : list) {
    ProviderSettings one;
    entry.at("name").get_to(one.name);
    entry.at("options").get_to(one.options);
    entry.at("device").get_to(one.device);
    entry.at("optimization_level").get_to(one.optimization_level);
    if (providers.empty()) one.library = library;
    providers.push_back(std::move(one));
  }
  return providers;
}

std::string settings_text(const RunSpec& spec) {
  const json document = {{"variant", spec.variant},
                         {"provider", spec.provider},
                         {"providers", providers_json(spec)},
                         {"outside_library", spec.outside_library},
                         {"require_provider", spec.require_provider},
                         {"threads", spec.threads},
                         {"shapes", spec.shapes},
                         {"scenario", scenario_name(spec.scenario)},
                         {"cpus", spec.cpus},
                         {"spinning", spec.spinning ? json(*spec.spinning) : json(nullptr)},
                         {"arena", spec.arena},
                         {"clock", spec.clock},
                         {"optimization_level", spec.optimization_level},
                         {"config", spec.config},
                         {"min_seconds", spec.min_seconds},
                         {"min_iterations", spec.min_iterations},
                         {"accuracy", spec.accuracy},
                         {"profile", spec.profile},
                         {"outputs_required", spec.outputs_required}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::vector<std::string> to_arguments(const RunSpec& spec) {
  const std::string library = spec.providers.empty() ? "" : spec.providers.front().library;
  return {settings_text(spec), spec.model_path, spec.samples_path,
          spec.outputs_path,   library,         spec.engine_cache};
}

Result<RunSpec> run_spec_from_arguments(const std::vector<std::string>& arguments) {
  if (arguments.size() < 6) return Error{ErrorCode::kUsage, "measure is for internal use"};
  try {
    const json document = json::parse(arguments[0]);
    RunSpec spec;
    spec.model_path = arguments[1];
    spec.samples_path = arguments[2];
    spec.outputs_path = arguments[3];
    spec.engine_cache = arguments[5];
    document.at("variant").get_to(spec.variant);
    document.at("provider").get_to(spec.provider);
    spec.providers = providers_from(document.at("providers"), arguments[4]);
    document.at("outside_library").get_to(spec.outside_library);
    document.at("require_provider").get_to(spec.require_provider);
    document.at("threads").get_to(spec.threads);
    document.at("shapes").get_to(spec.shapes);
    Result<Scenario> scenario = parse_scenario(document.at("scenario").get<std::string>());
    if (!scenario) return scenario.error();
    spec.scenario = *scenario;
    document.at("cpus").get_to(spec.cpus);
    if (!document.at("spinning").is_null()) spec.spinning = document.at("spinning").get<bool>();
    document.at("arena").get_to(spec.arena);
    document.at("clock").get_to(spec.clock);
    document.at("optimization_level").get_to(spec.optimization_level);
    document.at("config").get_to(spec.config);
    document.at("min_seconds").get_to(spec.min_seconds);
    document.at("min_iterations").get_to(spec.min_iterations);
    document.at("accuracy").get_to(spec.accuracy);
    document.at("profile").get_to(spec.profile);
    document.at("outputs_required").get_to(spec.outputs_required);
    return spec;
  } catch (const json::exception& failure) {
    return Error{ErrorCode::kUsage, std::string("measure is for internal use: ") + failure.what()};
  }
}

int processes_of(const RunSpec& spec, int requested) {
  return spec.scenario.kind == ScenarioKind::kSoak ? 1 : requested;
}

std::string outputs_name(const RunSpec& spec) { return spec.variant + ".safetensors"; }

std::string run_key(const RunSpec& spec) {
  std::string shapes;
  for (const auto& [name, size] : spec.shapes) {
    shapes += (shapes.empty() ? "" : ",") + name + "=" + std::to_string(size);
  }
  return spec.variant + "/" + spec.provider + "/threads=" + std::to_string(spec.threads) + "/" +
         (shapes.empty() ? "" : shapes + "/") + scenario_name(spec.scenario);
}

}  // namespace edgesmith::harness
