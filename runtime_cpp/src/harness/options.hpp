/// \file
/// The harness's command line.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/result.hpp"
#include "scenario.hpp"

namespace edgesmith::harness {

enum class Command { kBench, kVerify, kInfo, kMeasure, kHelp, kVersion };

/// Sizes of dynamic dimensions by name.
using Shape = std::map<std::string, std::int64_t>;

struct Options {
  Command command = Command::kHelp;
  std::vector<std::string> variants;  ///< Empty: all that are there.
  std::vector<int> threads;           ///< Empty: as each variant says.
  std::vector<Shape> shapes;          ///< Empty: that of the samples.
  std::vector<Scenario> scenarios;    ///< Empty: single stream.
  std::string cpus;                   ///< Such as "0-3"; empty: those that the harness has.
  std::optional<bool> spinning;       ///< Empty: as each variant says, or the runtime decides.
  bool arena = true;
  std::vector<std::string> providers;  ///< Empty: as each variant says.
  std::string provider_library;        ///< A plugin outside of the bundle; empty: none.
  std::map<std::string, std::string> provider_options;  ///< Stand before the bundle's.
  std::map<std::string, std::string> provider_device;
  std::string engine_cache;  ///< A folder, "off", or empty: the provider's default.
  bool require_provider = false;
  double min_seconds = 5.0;
  std::uint64_t min_iterations = 200;
  int processes = 1;
  bool profile = false;
  bool emulated = false;
  pid_t parent = 0;       ///< Measuring ends with this process; 0: with none.
  std::string json_path;  ///< Empty: a table; "-": JSON to stdout.
  std::string samples_out_path;
  std::string outputs_path;
  std::string outputs_folder;  ///< Empty: no outputs of each variant.
  std::string id_salt;
  std::string model_path;            ///< Empty: the bundle's.
  std::string samples_path;          ///< Empty: the bundle's.
  double min_sqnr_db = -1;           ///< Negative: as the variant says.
  std::vector<std::string> measure;  ///< Arguments of the internal command.
};

/// \return kUsage with a message that names the nearest known option or command.
Result<Options> parse_options(int argc, char** argv);

/// The text of --help.
std::string help_text();

}  // namespace edgesmith::harness
