#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <set>

#include "bundle.hpp"
#include "child.hpp"
#include "commands.hpp"
#include "compare.hpp"
#include "edgesmith/clock.hpp"
#include "edgesmith/samples.hpp"
#include "no_exceptions.hpp"
#include "output.hpp"
#include "provider_choice.hpp"
#include "report_json.hpp"
#include "run_report.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

/// What all runs of a candidate have in common.
RunSpec base_spec(const Workload& workload, const Candidate& candidate, const Options& options) {
  RunSpec spec;
  spec.variant = candidate.variant.name;
  spec.model_path = candidate.model_path;
  spec.samples_path = workload.samples_path;
  spec.require_provider = options.require_provider;
  spec.engine_cache = options.engine_cache;
  spec.outside_library = !options.provider_library.empty();
  spec.cpus = options.cpus;
  spec.spinning = options.spinning;
  spec.arena = options.arena;
  spec.optimization_level = candidate.variant.optimization_level;
  spec.config = candidate.variant.config;
  spec.min_seconds = options.min_seconds;
  spec.min_iterations = options.min_iterations;
  spec.profile = options.profile;
  spec.outputs_path = options.outputs_path;
  return spec;
}

/// A spec for each provider that a candidate is to run by.
Result<std::vector<RunSpec>> specs_of(const Bundle& bundle, const Workload& workload,
                                      const Candidate& candidate, const Options& options) {
  std::vector<std::string> names = options.providers;
  if (names.empty()) names.push_back(candidate.variant.provider);
  std::vector<RunSpec> specs;
  for (const std::string& name : names) {
    Result<std::vector<ProviderSettings>> providers =
        chosen_providers(bundle, options, candidate.variant, name);
    if (!providers) return providers.error();
    RunSpec spec = base_spec(workload, candidate, options);
    spec.provider = name;
    spec.providers = std::move(*providers);
    specs.push_back(std::move(spec));
  }
  return specs;
}

/// Every combination of scenarios, shapes, variants, providers and threads.
Result<std::vector<Run>> plan_runs(const Bundle& bundle, const Workload& workload,
                                   const Options& options, const std::string& clock) {
  std::vector<Scenario> scenarios = options.scenarios;
  if (scenarios.empty()) scenarios.emplace_back();
  std::vector<Shape> shapes = options.shapes;
  if (shapes.empty()) shapes.emplace_back();
  std::vector<Run> runs;
  for (const Scenario& scenario : scenarios) {
    for (const Shape& shape : shapes) {
      for (const Candidate& candidate : workload.candidates) {
        std::vector<int> threads = options.threads;
        if (threads.empty()) threads.push_back(candidate.variant.threads);
        Result<std::vector<RunSpec>> specs = specs_of(bundle, workload, candidate, options);
        if (!specs) return specs.error();
        for (RunSpec& spec : *specs) {
          spec.scenario = scenario;
          spec.shapes = shape;
          spec.clock = clock;
          for (const int count : threads) {
            spec.threads = count;
            runs.push_back({spec, &candidate, {}});
          }
        }
      }
    }
  }
  return runs;
}

/// Whether a run wrote the outputs that it was asked for.
bool wrote_outputs(const Run& run) {
  const ChildOutcome& first = run.processes.front();
  return first.error.is_null() && first.document["outputs_unwritten"].get<std::string>().empty();
}

/// What was asked for and is not used, in plain lines.
void say_fallbacks(const json& effective) {
  for (const json& one : effective["fallbacks"]) {
    const ProviderFallback fallback{one["provider"], one["reason"]};
    say("harness: " + fallback_words(fallback, effective["provider"]));
  }
}

/// Asks a run for its variant's outputs, unless one before has written them.
void ask_for_outputs(Run& run, const std::string& folder, const std::set<std::string>& written) {
  if (folder.empty() || written.count(run.spec.variant) > 0) return;
  run.spec.outputs_path = folder + "/" + outputs_name(run.spec);
  run.spec.outputs_required = false;
}

/// Runs all processes of all runs, each next round in reverse order (ABBA), so that a drift of the
/// machine falls on all runs alike. \return false if a signal ended the work.
bool measure_all(const ChildRunner& runner, const Options& options, std::vector<Run>& runs) {
  const int processes = options.processes;
  std::set<std::string> written;
  for (int process = 0; process < processes; ++process) {
    for (std::size_t position = 0; position < runs.size(); ++position) {
      Run& run = runs[process % 2 == 0 ? position : runs.size() - 1 - position];
      if (process >= processes_of(run.spec, processes)) continue;
      if (process == 0) ask_for_outputs(run, options.outputs_folder, written);
      RunSpec spec = run.spec;
      spec.accuracy = process == 0;
      spec.profile = spec.profile && spec.accuracy;
      say("harness: process " + std::to_string(process + 1) + " of " +
          std::to_string(processes_of(spec, processes)) + ": " + run_key(spec));
      run.processes.push_back(runner.run(spec));
      const ChildOutcome& outcome = run.processes.back();
      if (!outcome.error.is_null()) {
        say("harness: failed: " + outcome.error["message"].get<std::string>());
      } else if (process == 0) {
        say_fallbacks(outcome.document["effective"]);
      }
      if (outcome.interrupted) return false;
      if (process == 0 && wrote_outputs(run)) written.insert(run.spec.variant);
    }
  }
  return true;
}

Status write_latencies(const std::string& path, const std::vector<Run>& runs) {
  std::vector<TensorToWrite> tensors;
  const auto add = [&](std::string name, const std::vector<std::int64_t>& values) {
    if (values.empty()) return;
    const auto count = static_cast<std::int64_t>(values.size());
    tensors.push_back({std::move(name), DataType::kInt64, {count}, values.data()});
  };
  for (std::size_t r = 0; r < runs.size(); ++r) {
    for (std::size_t p = 0; p < runs[r].processes.size(); ++p) {
      add(samples_tensor(r, p), runs[r].processes[p].latencies);
      add(service_tensor(r, p), runs[r].processes[p].services);
    }
  }
  return write_safetensors(path, tensors,
                           {{"format", "edgesmith-latencies"}, {"schema_version", "1.0"}});
}

/// The smallest code among the runs' errors; an interruption comes first.
int code_of_runs(const json& runs) {
  int code = 0;
  for (const json& run : runs) {
    if (!run["error"].is_object()) continue;
    const int found = run["error"]["code"].get<int>();
    if (found == static_cast<int>(ErrorCode::kInterrupted)) return found;
    code = code == 0 ? found : std::min(code, found);
  }
  return code;
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    report_ = {{"schema_version", "1.0"},
               {"kind", "edgesmith-report"},
               {"context", machine_context(options, utc_timestamp())},
               {"runs", json::array()},
               {"comparisons", json::array()},
               {"error", nullptr},
               {"exit_code", 0}};
    report_["context"]["bundle"] = unknown_bundle_json("no bundle was read");
    report_["context"]["metrics"] = json::array();
  }

  json run() {
    const Status status = without_exceptions([this] { return measure(); });
    if (!status) static_cast<void>(fail("harness", status.error()));
    return std::move(report_);
  }

 private:
  Status measure() {
    // From here on a signal ends the measurement, not the report.
    Result<ChildRunner> runner = ChildRunner::create(options_.emulated);
    if (!runner) return fail("child", runner.error());
    if (options_.parent != 0) {
      if (::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) {
        return fail("child", system_error("cannot watch for the end of the parent"));
      }
      // It may have ended before.
      if (::getppid() != options_.parent && ::raise(SIGTERM) != 0) {
        return fail("child", system_error("cannot end with the parent"));
      }
    }
    if (Status status = prepare(); !status) return fail("manifest", status.error());
    measure_all(*runner, options_, runs_);
    RunReportContext context;
    if (!options_.samples_out_path.empty() && !options_.emulated) {
      Status status = write_latencies(options_.samples_out_path, runs_);
      context.samples_written = static_cast<bool>(status);
      if (!status) static_cast<void>(fail("output", status.error()));
    }
    context.emulated = options_.emulated;
    context.device = report_["context"]["device"];
    context.processes_requested = options_.processes;
    add_runs(context);
    const int code = code_of_runs(report_["runs"]);
    if (code != 0) report_["exit_code"] = code;
    report_["context"]["finished_at"] = utc_timestamp();
    return Done{};
  }

  Status prepare() {
    Result<Bundle> bundle = open_bundle(options_);
    if (!bundle) {
      report_["context"]["bundle"] = unknown_bundle_json(bundle.error().message);
      return bundle.error();
    }
    report_["context"]["bundle"] = bundle_json(*bundle, {});
    Result<Workload> workload =
        open_workload(*bundle, options_, options_.variants,
                      {"bench/samples.safetensors", "golden/samples.safetensors"});
    if (!workload) return workload.error();
    workload_ = std::move(*workload);
    report_["context"]["bundle"] = bundle_json(*bundle, workload_.candidates);
    report_["context"]["metrics"] = workload_.metrics;
    Result<std::vector<Run>> runs =
        plan_runs(*bundle, workload_, options_, report_["context"]["clock"]["name"]);
    if (!runs) return runs.error();
    runs_ = std::move(*runs);
    if (runs_.size() > 1 && !options_.outputs_path.empty()) {
      return Error{ErrorCode::kUsage,
                   "--outputs needs a single run: name one --variant, one "
                   "--provider, one of --threads, one --shape and one --scenario"};
    }
    return check_outputs_folder();
  }

  /// The variants name the files there.
  Status check_outputs_folder() const {
    if (options_.outputs_folder.empty()) return Done{};
    for (const Run& run : runs_) {
      if (run.spec.variant.find('/') == std::string::npos) continue;
      return Error{ErrorCode::kUsage, "--outputs-folder: '" + run.spec.variant +
                                          "' can be no file's name; leave this variant out"};
    }
    return Done{};
  }

  void add_runs(const RunReportContext& context) {
    std::vector<RunSummary> summaries;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      RunReport report = report_run(runs_[i], i, context);
      report_["runs"].push_back(std::move(report.document));
      summaries.push_back(std::move(report.summary));
    }
    report_["comparisons"] = compare_runs(runs_, summaries, workload_.metrics.front());
  }

  /// Notes what ends the work; the report says it.
  Status fail(const std::string& stage, const Error& error) {
    say("harness: " + error.message);
    report_["error"] = error_json(stage, error);
    report_["exit_code"] = exit_code(error);
    report_["context"]["finished_at"] = utc_timestamp();
    return Done{};
  }

  const Options& options_;
  json report_;
  Workload workload_;
  std::vector<Run> runs_;
};

}  // namespace

int bench_command(const Options& options) {
  json report = Bench(options).run();
  const std::string table = options.json_path.empty() ? report_table(report) : "";
  return deliver(options, std::move(report), table);
}

}  // namespace edgesmith::harness
