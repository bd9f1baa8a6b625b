#include <algorithm>
#include <filesystem>

#include "accuracy_report.hpp"
#include "bundle.hpp"
#include "commands.hpp"
#include "evaluate.hpp"
#include "no_exceptions.hpp"
#include "output.hpp"
#include "placement.hpp"
#include "provider_choice.hpp"
#include "report_json.hpp"
#include "session_settings.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

struct Verification {
  const Options& options;
  json document;
  bool passed = true;
};

/// One output passes if it is finite and near enough to its reference.
json judge_output(const OutputErrors& output, double least_db, Verification& verification) {
  const Measured sqnr = sqnr_db(output.errors);
  const auto broken = std::count_if(output.errors.begin(), output.errors.end(),
                                    [](const SampleError& error) { return !error.finite; });
  const bool exact = !output.errors.empty() &&
                     std::all_of(output.errors.begin(), output.errors.end(),
                                 [](const SampleError& error) { return error.noise == 0; });
  const bool passed =
      output.reason.empty() && broken == 0 && (exact || (sqnr.value && *sqnr.value >= least_db));
  verification.passed = verification.passed && passed;
  json entry = {
      {"name", output.output},
      {"passed", passed},
      {"samples", output.errors.size()},
      {"samples_not_finite", broken},
      {"bit_equal", exact},
      {"sqnr_db", measured_json(output.reason.empty() ? sqnr : Measured{{}, {}, output.reason})}};
  entry["max_abs_error"] = measured_json(max_abs_error(output.errors));
  return entry;
}

Result<SessionSettings> settings_of(const Bundle& bundle, const Options& options,
                                    const Variant& variant) {
  const std::string provider =
      options.providers.empty() ? variant.provider : options.providers.front();
  Result<std::vector<ProviderSettings>> providers =
      chosen_providers(bundle, options, variant, provider);
  if (!providers) return providers.error();
  return session_settings({std::move(*providers), options.require_provider, variant.threads,
                           variant.optimization_level, variant.config, std::nullopt, true,
                           options.engine_cache});
}

/// Who runs the model, and what stood in the way of others.
void tell_providers(const Session& session, const Options& options, json& document) {
  document["provider"] = session.provider();
  if (!options.provider_library.empty()) {
    const std::string name = std::filesystem::path(options.provider_library).filename();
    document["unverified_library"] = name;
    say("harness: the library " + name + " did not come with the bundle: unverified");
  }
  say_engines(session.engine_cache());
  for (const ProviderFallback& one : session.fallbacks()) {
    say("harness: " + fallback_words(one, session.provider()));
  }
  document["fallbacks"] = fallbacks_json(session);
}

/// Whether the required provider runs all nodes: looked at in a session of its own.
Status check_placement(const Candidate& candidate, const SessionSettings& settings,
                       const SampleSource& source) {
  if (!settings.require_provider) return Done{};
  RunSpec spec;
  spec.model_path = candidate.model_path;
  const Result<Profile> profile = profile_session(spec, settings, source);
  if (!profile) return profile.error();
  return require_all_nodes(settings.providers.front().name, *profile);
}

Status verify(Verification& verification) {
  const Options& options = verification.options;
  json& document = verification.document;
  Result<Bundle> bundle = open_bundle(options);
  if (!bundle) return bundle.error();
  std::vector<std::string> names = options.variants;
  if (names.empty()) names.push_back(bundle->manifest.default_variant);
  Result<Workload> workload =
      open_workload(*bundle, options, names, {"golden/samples.safetensors"});
  if (!workload) return workload.error();
  const Candidate& candidate = workload->candidates.front();
  const Variant& variant = candidate.variant;
  document["variant"] = variant.name;
  document["bundle"] = bundle_json(*bundle, workload->candidates);
  Result<SessionSettings> settings = settings_of(*bundle, options, variant);
  if (!settings) return settings.error();
  Result<SampleSource> source = SampleSource::open(workload->samples_path);
  if (!source) return source.error();
  Result<Session> session = Session::open(candidate.model_path, *settings);
  if (!session) return session.error();
  tell_providers(*session, options, document);
  Result<ModelIo> io = ModelIo::create(*session, *source, {});
  if (!io) return io.error();
  const ReferencePrefixes references{{"expected/" + variant.name + "/", "outputs/"}};
  Result<Evaluation> evaluation =
      evaluate(*session, *io, *source, references, {options.outputs_path});
  if (!evaluation) return evaluation.error();
  const double least =
      options.min_sqnr_db >= 0 ? options.min_sqnr_db : variant.self_test_min_sqnr_db;
  document["min_sqnr_db"] = least;
  for (const OutputErrors& output : evaluation->outputs) {
    document["outputs"].push_back(judge_output(output, least, verification));
  }
  if (!evaluation->outputs.empty() && verification.passed) {
    return check_placement(candidate, *settings, *source);
  }
  return Error{ErrorCode::kHarness,
               "the outputs of " + variant.name + " are not what the golden samples expect"};
}

std::string verification_text(const json& document) {
  std::string text;
  for (const json& output : document["outputs"]) {
    const json& sqnr = output["sqnr_db"]["value"];
    std::string value = output["bit_equal"].get<bool>() ? "equal" : "not comparable";
    if (sqnr.is_number()) value = formatted("SQNR %.2f dB", sqnr.get<double>());
    text += "output " + json(output["name"]).dump(-1, ' ', true, json::error_handler_t::replace) +
            ": " + value + ", " + (output["passed"].get<bool>() ? "passed" : "FAILED") + "\n";
  }
  return text + (document["passed"].get<bool>() ? "passed\n" : "FAILED\n");
}

}  // namespace

int verify_command(const Options& options) {
  Verification verification{options,
                            {{"schema_version", "1.0"},
                             {"kind", "edgesmith-verification"},
                             {"variant", nullptr},
                             {"fallbacks", json::array()},
                             {"outputs", json::array()},
                             {"passed", false},
                             {"error", nullptr},
                             {"exit_code", 0}}};
  const Status status = without_exceptions([&] { return verify(verification); });
  json& document = verification.document;
  document["passed"] = static_cast<bool>(status);
  if (!status) {
    say("harness: " + status.error().message);
    document["error"] = error_json("verify", status.error());
    document["exit_code"] = exit_code(status.error());
  }
  const std::string text = verification_text(document);
  return deliver(options, std::move(document), text);
}

}  // namespace edgesmith::harness
