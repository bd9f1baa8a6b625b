/// \file
/// One measurement in one process, as the bench command orders it from a measuring process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/providers.hpp"
#include "edgesmith/result.hpp"
#include "options.hpp"

namespace edgesmith::harness {

struct RunSpec {
  std::string variant;
  std::string model_path;
  std::string samples_path;
  std::string provider = "cpu";
  std::vector<ProviderSettings> providers;  ///< `provider` and its helpers, set up.
  bool outside_library = false;             ///< The first one's library is not the bundle's.
  bool require_provider = false;
  std::string engine_cache;  ///< As in SessionSettings.
  int threads = 1;
  Shape shapes;
  Scenario scenario;
  std::string cpus;              ///< Empty: those that the process has.
  std::optional<bool> spinning;  ///< Empty: as `config` says, or the runtime decides.
  bool arena = true;
  std::string clock;  ///< Name of the clock to time with.
  std::string optimization_level = "all";
  std::map<std::string, std::string> config;
  double min_seconds = 5.0;
  std::uint64_t min_iterations = 200;
  bool accuracy = false;  ///< Also compare all samples, and find out where the nodes run.
  bool profile = false;
  std::string outputs_path;      ///< With accuracy: write the outputs there, unless empty.
  bool outputs_required = true;  ///< Not writing them fails the run.
};

/// The spec as six arguments, and back: settings as JSON, then the paths as they are, since paths
/// need not be UTF-8; the last are the library of the first provider and the folder for engines.
/// \return kUsage if the arguments are not from to_arguments().
std::vector<std::string> to_arguments(const RunSpec& spec);
Result<RunSpec> run_spec_from_arguments(const std::vector<std::string>& arguments);

/// How many processes measure a run: a soak has one, the others as many as asked for.
int processes_of(const RunSpec& spec, int requested);

/// Name of the file with the outputs of the spec's variant in a folder of them.
std::string outputs_name(const RunSpec& spec);

/// Names the run within a report: variant, provider, threads, shapes and scenario.
std::string run_key(const RunSpec& spec);

}  // namespace edgesmith::harness
