#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "edgesmith/app.hpp"
#include "known_sizes.hpp"
#include "shown.hpp"

namespace edgesmith {
namespace {

constexpr std::array<const char*, 5> kOptions{"--input", "--model", "--samples", "--json",
                                              "--help"};

Error usage(const AppModel& model, const std::string& message) {
  return {ErrorCode::kUsage, message + "; see " + model.program + " --help"};
}

/// Splits NAME=FILE. Names are foreign and may hold '=' themselves: the longest that fits is meant.
Result<InputFile> parse_input(const AppModel& model, const std::string& text) {
  const std::string* name = nullptr;
  std::vector<std::string> names;
  for (const TensorInfo& info : model.inputs) {
    names.push_back(shown(info.name));
    if (text.size() <= info.name.size() || text[info.name.size()] != '=') continue;
    if (text.compare(0, info.name.size(), info.name) != 0) continue;
    if (name == nullptr || info.name.size() > name->size()) name = &info.name;
  }
  const std::size_t split = name != nullptr ? name->size() : text.find('=');
  if (split == std::string::npos) {
    return usage(model, "--input takes NAME=FILE, not " + in_quotes(text));
  }
  if (name == nullptr) {
    const std::string given = text.substr(0, split);
    if (names.empty()) return usage(model, "the model takes no input");
    return usage(model, "the model has no input " + in_quotes(given) + "; " +
                            suggestion(shown(given), names, "'"));
  }
  if (split + 1 == text.size()) return usage(model, "input " + in_quotes(*name) + " has no file");
  return InputFile{*name, text.substr(split + 1)};
}

/// An argument as option and, if it is there, the value behind '='.
struct Argument {
  std::string option;
  std::optional<std::string> value;
};

Argument split_argument(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, std::nullopt};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

Status apply(const AppModel& model, const std::string& option, const std::string& value,
             AppOptions& options) {
  if (option == "--input") {
    Result<InputFile> input = parse_input(model, value);
    if (!input) return input.error();
    options.inputs.push_back(std::move(*input));
  } else {
    (option == "--model" ? options.model_path : options.samples_path) = value;
  }
  return Done{};
}

}  // namespace

Result<AppOptions> parse_app_options(const AppModel& model, int argc, const char* const* argv) {
  AppOptions options;
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Argument argument = split_argument(words[i]);
    if (std::find(kOptions.begin(), kOptions.end(), argument.option) == kOptions.end()) {
      return usage(model, "unknown argument " + in_quotes(words[i]) + "; " +
                              suggestion(argument.option, {kOptions.begin(), kOptions.end()}));
    }
    if (argument.option == "--json" || argument.option == "--help") {
      if (argument.value) return usage(model, argument.option + " takes no value");
      (argument.option == "--json" ? options.json : options.help) = true;
      continue;
    }
    if (!argument.value && i + 1 == words.size()) {
      return usage(model, argument.option + " needs a value");
    }
    const std::string value = argument.value ? *argument.value : words[++i];
    const Status status = apply(model, argument.option, value, options);
    if (!status) return status.error();
  }
  if (!options.inputs.empty() && !options.samples_path.empty()) {
    return usage(model, "--input and --samples exclude each other");
  }
  std::error_code failure;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failure);
  const std::filesystem::path root = program.parent_path().parent_path();
  if (options.model_path.empty()) options.model_path = (root / model.default_file).string();
  if (options.samples_path.empty()) {
    options.samples_path = (root / "golden" / "samples.safetensors").string();
  }
  return options;
}

std::string app_help(const AppModel& model) {
  std::string inputs;
  for (const TensorInfo& info : model.inputs) {
    inputs += "  " + shown(info.name) + "  " + std::string(data_type_name(info.type)) + ' ' +
              declared_text(info) + '\n';
  }
  return "Runs " + model.name + ' ' + model.version +
         " and prints its outputs.\n\nusage: " + model.program +
         " [--model FILE.onnx] [--samples FILE.safetensors] [--json]\n       " + model.program +
         " --input NAME=FILE [--input ...] [--model FILE.onnx] [--json]\n" + R"(
  --input NAME=FILE  the file for an input; every input needs one
  --samples FILE     without --input: run these samples; default: those in golden/
  --model FILE       default: the model beside this program
  --json             every element of every output, as one JSON document

inputs:
)" + inputs +
         R"(
files:
  .npy  as numpy.save writes it; element type and shape must be the input's
  .raw  the elements alone, little endian, in C order; one open size may follow from the length
  .png  an image of 8 bits a channel, for a uint8 input with 1, 3 or 4 channels, first or last;
        nothing is resized or scaled. Other inputs take prepared values as .npy, or the model
        takes images as they are when its project has a [preprocess] section.

exit codes: 0 done, 2 command line, 3 model (also one that is not there) or data, 8 not enough
memory, 10 an input or sample file that cannot be read, or stdout that cannot be written
)";
}

}  // namespace edgesmith
