#include "run_report.hpp"

#include <algorithm>
#include <limits>

#include "accuracy_report.hpp"
#include "energy.hpp"
#include "plausibility.hpp"
#include "report_json.hpp"
#include "scenario_report.hpp"
#include "steady.hpp"
#include "verdict.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

json process_json(const ChildOutcome& outcome, std::size_t run, std::size_t index,
                  const RunReportContext& context) {
  json process = {
      {"index", index},         {"load_ns", nullptr},     {"first_inference_ns", nullptr},
      {"warmup", nullptr},      {"latency", nullptr},     {"memory", nullptr},
      {"samples_ref", nullptr}, {"environment", nullptr}, {"error", outcome.error}};
  if (!outcome.error.is_null()) return process;
  process.update(outcome.document["process"]);
  process["environment"]["during"] = outcome.during;
  if (context.samples_written) process["samples_ref"] = samples_tensor(run, index);
  return process;
}

json process_latency_json(const std::vector<std::int64_t>& steady) {
  if (steady.empty()) return nullptr;
  double sum = 0;
  for (const std::int64_t value : steady) sum += static_cast<double>(value);
  return {{"count", steady.size()},
          {"median", median({steady.begin(), steady.end()})},
          {"mean", sum / static_cast<double>(steady.size())}};
}

json requested_json(const RunSpec& spec, const RunReportContext& context) {
  json requested = {{"variant", spec.variant},
                    {"provider", spec.provider},
                    {"threads", spec.threads},
                    {"shapes", spec.shapes},
                    {"scenario", scenario_name(spec.scenario)},
                    {"arena", spec.arena},
                    {"require_provider", spec.require_provider},
                    {"min_seconds", spec.min_seconds},
                    {"min_iterations", spec.min_iterations},
                    {"processes", processes_of(spec, context.processes_requested)}};
  if (!spec.cpus.empty()) requested["cpus"] = spec.cpus;
  if (spec.spinning) requested["spinning"] = *spec.spinning;
  return requested;
}

/// The first error of a run; also when a process is missing because the work was interrupted.
json first_error(const Run& run, const RunReportContext& context) {
  for (const ChildOutcome& outcome : run.processes) {
    if (!outcome.error.is_null()) return outcome.error;
  }
  const int wanted = processes_of(run.spec, context.processes_requested);
  if (run.processes.size() == static_cast<std::size_t>(wanted)) return nullptr;
  return error_json("interrupted",
                    {ErrorCode::kInterrupted, "a signal ended the work before this"});
}

std::vector<std::int64_t> pooled_sorted(const std::vector<std::vector<std::int64_t>>& parts) {
  std::vector<std::int64_t> pooled;
  for (const auto& part : parts) pooled.insert(pooled.end(), part.begin(), part.end());
  std::sort(pooled.begin(), pooled.end());
  return pooled;
}

void fill_times(json& document, const std::vector<std::vector<std::int64_t>>& latencies,
                const RunReportContext& context) {
  if (context.emulated) {
    document["reasons"]["latency"] = "times in an emulator mean nothing";
    document["reasons"]["throughput_per_s"] = "times in an emulator mean nothing";
    return;
  }
  const LatencySummary latency = summarize_latencies(latencies, pooled_sorted(latencies));
  const std::string untold = why_no_latency(document["scenario"]);
  if (untold.empty()) {
    document["latency"] = latency_json(latency);
  } else {
    document["reasons"]["latency"] = untold;
  }
  const double batch = document["effective"]["batch"].get<double>();
  const json counted = counted_rate(document["scenario"]);
  if (counted.is_number()) {
    document["throughput_per_s"] = batch * counted.get<double>();
  } else if (latency.mean > 0) {
    document["throughput_per_s"] = 1e9 * batch / latency.mean;
  } else {
    document["reasons"]["throughput_per_s"] = "no time passed";
  }
}

/// The file with the variant's outputs, where the run was asked for it beside its figures.
void put_outputs(json& document, const RunSpec& spec, const json& first) {
  if (spec.outputs_path.empty() || spec.outputs_required) return;
  const std::string reason = first["outputs_unwritten"].get<std::string>();
  if (reason.empty()) {
    document["outputs"] = {{"file", outputs_name(spec)}};
  } else {
    document["outputs"] = {{"file", nullptr}, {"reason", reason}};
  }
}

/// Of a run by a GPU: what copies take, and whether inferences had ended when their time was taken.
void put_copies(json& document, const json& first) {
  if (!first.contains("copies")) return;
  document["copies"] = first["copies"];
  if (document["copies"].is_null()) document["reasons"]["copies"] = first["copies_reason"];
  document["conditions"].push_back(condition_json(synchronized(document)));
}

void fill_measurements(const Run& run, const std::vector<std::vector<std::int64_t>>& latencies,
                       const RunReportContext& context, RunReport& report) {
  json& document = report.document;
  RunSummary& summary = report.summary;
  const json& first = run.processes.front().document;
  document["effective"] = first["effective"];
  summary.provider = document["effective"]["provider"].get<std::string>();
  document["profile"] = first.value("profile", json(nullptr));
  summary.evaluation = evaluation_from_json(first["evaluation"]);
  put_outputs(document, run.spec, first);
  document["accuracy"] = accuracy_json(summary.evaluation);
  document["reference"] = reference_json(summary.evaluation);
  document["scenario"] = scenario_json(run.spec, document["processes"]);
  fill_times(document, latencies, context);
  const std::vector<std::int64_t> pooled = pooled_sorted(summary.steady);
  const Verdict verdict =
      judge({document, pooled, summary.steady, context.device, context.emulated});
  document["verdict"] = verdict.name;
  document["conditions"] = verdict.conditions;
  for (json& condition : timing_conditions(document)) {
    document["conditions"].push_back(std::move(condition));
  }
  put_copies(document, first);
  document["not_readable"] = verdict.not_readable;
  put_energy_per_inference(document);
  Status plausible = check_plausible(document, run.candidate->variant, context.device);
  if (plausible) plausible = check_synchronized(document);
  if (!plausible) {
    document["error"] = error_json("plausibility", plausible.error());
    document["verdict"] = "failed";
  }
}

/// Times and memory of an emulator's processes are no evidence on a device: they are left out.
void leave_out_emulated(json& document) {
  const char* reason = "times and memory are the emulator's, not a device's";
  for (json& process : document["processes"]) {
    for (const char* field : {"load_ns", "first_inference_ns", "warmup", "latency", "memory"}) {
      process[field] = nullptr;
      process["reasons"][field] = reason;
    }
    process.erase("scenario");
    process.erase("timing");
  }
  document.erase("scenario");
  document.erase("copies");
  document["profile"] = nullptr;
  document["reasons"]["profile"] = reason;
  document["conditions"] = json::array();
}

}  // namespace

std::string samples_tensor(std::size_t run, std::size_t process) {
  return "latency_ns/" + std::to_string(run) + "/" + std::to_string(process);
}

std::string service_tensor(std::size_t run, std::size_t process) {
  return "service_ns/" + std::to_string(run) + "/" + std::to_string(process);
}

RunReport report_run(const Run& run, std::size_t index, const RunReportContext& context) {
  RunReport report;
  json& document = report.document;
  document = {{"key", run_key(run.spec)},    {"requested", requested_json(run.spec, context)},
              {"effective", nullptr},        {"processes", json::array()},
              {"latency", nullptr},          {"throughput_per_s", nullptr},
              {"accuracy", nullptr},         {"reference", nullptr},
              {"profile", nullptr},          {"verdict", "failed"},
              {"conditions", json::array()}, {"error", first_error(run, context)},
              {"reasons", json::object()}};
  report.summary.key = run_key(run.spec);
  report.summary.variant = run.spec.variant;
  report.summary.provider = run.spec.provider;
  report.summary.model_bytes = run.candidate->bytes;
  std::vector<std::vector<std::int64_t>> latencies;
  for (std::size_t p = 0; p < run.processes.size(); ++p) {
    const ChildOutcome& outcome = run.processes[p];
    json process = process_json(outcome, index, p, context);
    if (outcome.error.is_null()) {
      Steady steady = find_steady(outcome);
      process["warmup"] = std::move(steady.warmup);
      process["latency"] = process_latency_json(steady.latencies);
      latencies.push_back(std::move(steady.latencies));
      report.summary.steady.push_back(std::move(steady.work));
    }
    document["processes"].push_back(std::move(process));
  }
  if (document["error"].is_null()) fill_measurements(run, latencies, context, report);
  if (context.emulated) leave_out_emulated(document);
  report.summary.verdict = document["verdict"].get<std::string>();
  return report;
}

}  // namespace edgesmith::harness
