/// \file
/// From the processes of one run to its entry in the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bundle.hpp"
#include "child.hpp"
#include "evaluate.hpp"
#include "run_spec.hpp"

namespace edgesmith::harness {

/// A run with all its processes, by process index.
struct Run {
  RunSpec spec;
  const Candidate* candidate = nullptr;
  std::vector<ChildOutcome> processes;
};

/// What comparisons need of a run.
struct RunSummary {
  std::string key;
  std::string variant;
  std::string provider;  ///< That was used; the wanted one where nothing ran.
  std::string verdict;
  std::uint64_t model_bytes = 0;
  std::vector<std::vector<std::int64_t>> steady;  ///< Work on an inference, by process, ns.
  Evaluation evaluation;
};

struct RunReport {
  nlohmann::json document;
  RunSummary summary;
};

struct RunReportContext {
  bool emulated = false;
  bool samples_written = false;  ///< Raw latencies stand in a file beside the report.
  nlohmann::json device;         ///< The report's context.device.
  int processes_requested = 1;
};

/// \param index Position in the report's runs.
RunReport report_run(const Run& run, std::size_t index, const RunReportContext& context);

/// Name of the tensor with the raw latencies of one process.
std::string samples_tensor(std::size_t run, std::size_t process);

/// The same for service times of frames on a schedule.
std::string service_tensor(std::size_t run, std::size_t process);

}  // namespace edgesmith::harness
