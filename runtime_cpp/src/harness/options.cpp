#include "options.hpp"

#include <getopt.h>

#include <algorithm>
#include <array>
#include <optional>

#include "affinity.hpp"
#include "numbers.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

Error usage(const std::string& message) {
  return {ErrorCode::kUsage, message + "; see harness --help"};
}

// getopt_long deals in int. NOLINTNEXTLINE(cppcoreguidelines-use-enum-class)
enum Option : int {
  kVariant = 256,
  kThreads,
  kProvider,
  kProviderLibrary,
  kProviderOption,
  kProviderDevice,
  kEngineCache,
  kRequireProvider,
  kMinSeconds,
  kMinIterations,
  kProcesses,
  kShape,
  kScenario,
  kCpus,
  kSpinning,
  kArena,
  kProfile,
  kEmulated,
  kEndWithParent,
  kJson,
  kSamplesOut,
  kOutputs,
  kOutputsFolder,
  kIdSalt,
  kModel,
  kSamples,
  kMinSqnr,
  kHelpOption,
  kVersionOption
};

constexpr std::array<::option, 30> kLongOptions{{
    {"variant", required_argument, nullptr, kVariant},
    {"threads", required_argument, nullptr, kThreads},
    {"provider", required_argument, nullptr, kProvider},
    {"provider-library", required_argument, nullptr, kProviderLibrary},
    {"provider-option", required_argument, nullptr, kProviderOption},
    {"provider-device", required_argument, nullptr, kProviderDevice},
    {"engine-cache", required_argument, nullptr, kEngineCache},
    {"require-provider", no_argument, nullptr, kRequireProvider},
    {"min-seconds", required_argument, nullptr, kMinSeconds},
    {"min-iterations", required_argument, nullptr, kMinIterations},
    {"processes", required_argument, nullptr, kProcesses},
    {"shape", required_argument, nullptr, kShape},
    {"scenario", required_argument, nullptr, kScenario},
    {"cpus", required_argument, nullptr, kCpus},
    {"spinning", required_argument, nullptr, kSpinning},
    {"arena", required_argument, nullptr, kArena},
    {"profile", no_argument, nullptr, kProfile},
    {"emulated", no_argument, nullptr, kEmulated},
    {"end-with-parent", required_argument, nullptr, kEndWithParent},
    {"json", required_argument, nullptr, kJson},
    {"samples-out", required_argument, nullptr, kSamplesOut},
    {"outputs", required_argument, nullptr, kOutputs},
    {"outputs-folder", required_argument, nullptr, kOutputsFolder},
    {"id-salt", required_argument, nullptr, kIdSalt},
    {"model", required_argument, nullptr, kModel},
    {"samples", required_argument, nullptr, kSamples},
    {"min-sqnr-db", required_argument, nullptr, kMinSqnr},
    {"help", no_argument, nullptr, kHelpOption},
    {"version", no_argument, nullptr, kVersionOption},
    {nullptr, 0, nullptr, 0},
}};

/// Which options a command takes; others would be ignored in silence.
bool takes(Command command, int option) {
  switch (option) {
    case kHelpOption:
    case kVersionOption:
      return true;
    case kJson:
      return command != Command::kMeasure;
    case kIdSalt:
      return command == Command::kBench || command == Command::kInfo;
    case kVariant:
    case kOutputs:
    case kModel:
    case kSamples:
    case kProvider:
    case kProviderLibrary:
    case kProviderOption:
    case kProviderDevice:
    case kEngineCache:
    case kRequireProvider:
      return command == Command::kBench || command == Command::kVerify;
    case kMinSqnr:
      return command == Command::kVerify;
    default:
      return command == Command::kBench;
  }
}

std::string unknown_option(Command command, const char* argument) {
  const std::string given(argument);
  std::vector<std::string> known;
  std::vector<std::string> fitting;
  for (const ::option& entry : kLongOptions) {
    if (entry.name == nullptr) continue;
    known.push_back(std::string("--") + entry.name);
    if (takes(command, entry.val)) fitting.push_back(known.back());
  }
  const std::string name = given.substr(0, given.find('='));
  if (std::find(known.begin(), known.end(), name) != known.end()) {
    return given.find('=') == std::string::npos ? "option " + name + " needs a value"
                                                : "option " + name + " takes no value";
  }
  return "unknown option " + given + "; " + suggestion(name, fitting);
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    parts.push_back(text.substr(start, comma - start));
    start = comma + 1;
  }
  return parts;
}

Status add_threads(const std::string& text, Options& options) {
  for (const std::string& part : split_commas(text)) {
    const auto value = whole_number(part);
    if (!value || *value < 0 || *value > 4096) {
      return usage("--threads takes numbers from 0 (the runtime decides) to 4096, not '" + text +
                   "'");
    }
    options.threads.push_back(static_cast<int>(*value));
  }
  return Done{};
}

Status add_shape(const std::string& text, Options& options) {
  Shape shape;
  for (const std::string& part : split_commas(text)) {
    const std::size_t equals = part.rfind('=');
    const auto size =
        equals == std::string::npos ? std::nullopt : whole_number(part.substr(equals + 1));
    if (!size || *size < 1 || equals == 0 || !shape.emplace(part.substr(0, equals), *size).second) {
      return usage("--shape takes dimension=size,... with sizes from 1, not '" + text + "'");
    }
  }
  options.shapes.push_back(std::move(shape));
  return Done{};
}

Status add_entry(const char* option, const std::string& text,
                 std::map<std::string, std::string>& entries) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return usage(std::string(option) + " takes key=value, not '" + text + "'");
  }
  const std::string key = text.substr(0, equals);
  if (entries.emplace(key, text.substr(equals + 1)).second) return Done{};
  return usage(std::string(option) + " names '" + key + "' twice");
}

Status add_scenario(const std::string& text, Options& options) {
  Result<Scenario> scenario = parse_scenario(text);
  if (!scenario) return usage(scenario.error().message);
  options.scenarios.push_back(*scenario);
  return Done{};
}

Status set_cpus(const std::string& text, Options& options) {
  Result<std::vector<unsigned>> cpus = parse_cpus(text);
  if (!cpus) return usage("--cpus: " + cpus.error().message);
  options.cpus = text;
  return Done{};
}

Status set_switch(int code, const std::string& text, Options& options) {
  if (text != "on" && text != "off") {
    return usage(std::string(code == kArena ? "--arena" : "--spinning") +
                 " takes on or off, not '" + text + "'");
  }
  if (code == kArena) {
    options.arena = text == "on";
  } else {
    options.spinning = text == "on";
  }
  return Done{};
}

Status set_number(int code, const std::string& text, Options& options) {
  const auto number = code == kMinSeconds || code == kMinSqnr ? real_number(text) : std::nullopt;
  const auto count = whole_number(text);
  if (code == kMinSeconds && number && *number >= 0 && *number <= 86400) {
    options.min_seconds = *number;
  } else if (code == kMinSqnr && number && *number >= 0) {
    options.min_sqnr_db = *number;
  } else if (code == kMinIterations && count && *count >= 1 && *count <= 100'000'000) {
    options.min_iterations = static_cast<std::uint64_t>(*count);
  } else if (code == kProcesses && count && *count >= 1 && *count <= 1000) {
    options.processes = static_cast<int>(*count);
  } else if (code == kEndWithParent && count && *count >= 1 && *count <= INT32_MAX) {
    options.parent = static_cast<pid_t>(*count);
  } else {
    return usage("'" + text + "' is out of range or no number");
  }
  return Done{};
}

/// Where an option's text goes that needs no reading; null for all others.
std::string* text_of(int code, Options& options) {
  switch (code) {
    case kProviderLibrary:
      return &options.provider_library;
    case kEngineCache:
      return &options.engine_cache;
    case kJson:
      return &options.json_path;
    case kSamplesOut:
      return &options.samples_out_path;
    case kOutputs:
      return &options.outputs_path;
    case kOutputsFolder:
      return &options.outputs_folder;
    case kIdSalt:
      return &options.id_salt;
    case kModel:
      return &options.model_path;
    case kSamples:
      return &options.samples_path;
    default:
      return nullptr;
  }
}

std::string option_name(int code) {
  const auto* found = std::find_if(kLongOptions.begin(), kLongOptions.end(),
                                   [&](const ::option& one) { return one.val == code; });
  return std::string("--") + found->name;
}

Status apply(int code, const std::string& value, Options& options) {
  if (std::string* text = text_of(code, options)) {
    if (value.empty()) return usage(option_name(code) + " has an empty value");
    *text = value;
    return Done{};
  }
  switch (code) {
    case kVariant:
      for (std::string& name : split_commas(value)) options.variants.push_back(std::move(name));
      return Done{};
    case kProvider:
      for (std::string& name : split_commas(value)) options.providers.push_back(std::move(name));
      return Done{};
    case kProviderOption:
      return add_entry("--provider-option", value, options.provider_options);
    case kProviderDevice:
      return add_entry("--provider-device", value, options.provider_device);
    case kThreads:
      return add_threads(value, options);
    case kShape:
      return add_shape(value, options);
    case kScenario:
      return add_scenario(value, options);
    case kCpus:
      return set_cpus(value, options);
    case kSpinning:
    case kArena:
      return set_switch(code, value, options);
    case kRequireProvider:
      options.require_provider = true;
      return Done{};
    case kProfile:
      options.profile = true;
      return Done{};
    case kEmulated:
      options.emulated = true;
      return Done{};
    case kHelpOption:
      options.command = Command::kHelp;
      return Done{};
    case kVersionOption:
      options.command = Command::kVersion;
      return Done{};
    default:
      return set_number(code, value, options);
  }
}

Result<Command> command_of(const std::string& word) {
  if (word == "bench") return Command::kBench;
  if (word == "verify") return Command::kVerify;
  if (word == "info") return Command::kInfo;
  if (word == "measure") return Command::kMeasure;
  if (word == "--help" || word == "-h" || word == "help") return Command::kHelp;
  if (word == "--version") return Command::kVersion;
  return usage("unknown command '" + word + "'; " +
               suggestion(word, {"bench", "verify", "info", "--help", "--version"}));
}

/// What a list names twice would be measured twice under one name.
template <typename T>
bool repeats(std::vector<T> list) {
  std::sort(list.begin(), list.end());
  return std::adjacent_find(list.begin(), list.end()) != list.end();
}

Status check_together(const Options& options) {
  if (options.command == Command::kHelp || options.command == Command::kVersion) return Done{};
  if (repeats(options.variants)) return usage("--variant names one variant twice");
  if (repeats(options.providers)) return usage("--provider names one provider twice");
  const bool sets_up = !options.provider_library.empty() || !options.provider_options.empty() ||
                       !options.provider_device.empty();
  if (sets_up && options.providers.size() != 1) {
    return usage("--provider-library, --provider-option and --provider-device need one --provider");
  }
  if (!options.engine_cache.empty() && options.engine_cache != "off" &&
      options.engine_cache.front() != '/') {
    return usage("--engine-cache takes an absolute folder, or off");
  }
  if (repeats(options.threads)) return usage("--threads names one number twice");
  if (repeats(options.shapes)) return usage("--shape names one shape twice");
  std::vector<std::string> scenarios;
  scenarios.reserve(options.scenarios.size());
  for (const Scenario& one : options.scenarios) scenarios.push_back(scenario_name(one));
  if (repeats(scenarios)) return usage("--scenario names one scenario twice");
  if (!options.model_path.empty() && options.samples_path.empty()) {
    return usage("--model needs --samples");
  }
  if (!options.model_path.empty() && !options.variants.empty()) {
    return usage("--variant names variants of a bundle; it cannot be used with --model");
  }
  if (!options.outputs_path.empty() && !options.outputs_folder.empty()) {
    return usage("--outputs and --outputs-folder exclude each other");
  }
  if (options.command == Command::kVerify && options.variants.size() > 1) {
    return usage("verify takes one --variant");
  }
  if (options.command == Command::kVerify && options.providers.size() > 1) {
    return usage("verify takes one --provider");
  }
  return Done{};
}

}  // namespace

Result<Options> parse_options(int argc, char** argv) {
  Options options;
  if (argc < 2) return usage("a command is missing: bench, verify or info");
  Result<Command> command = command_of(argv[1]);
  if (!command) return command.error();
  options.command = *command;
  if (*command == Command::kMeasure) {
    options.measure.assign(argv + 2, argv + argc);
    return options;
  }
  ::opterr = 0;
  ::optind = 2;
  for (;;) {
    const int at = ::optind;
    const int code = ::getopt_long(argc, argv, "+", kLongOptions.data(), nullptr);
    if (code == -1) break;
    if (code == '?') return usage(unknown_option(*command, argv[at]));
    if (!takes(*command, code)) {
      return usage(std::string(argv[1]) + " does not take " + argv[at]);
    }
    const std::string value = ::optarg == nullptr ? "" : ::optarg;
    if (Status status = apply(code, value, options); !status) return status.error();
  }
  if (::optind < argc) return usage(std::string("unexpected argument '") + argv[::optind] + "'");
  if (Status status = check_together(options); !status) return status.error();
  return options;
}

}  // namespace edgesmith::harness
