#include "provider_setup.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <memory>
#include <utility>

#include "plugins.hpp"

namespace edgesmith {
namespace {

/// Our names and those of ONNX Runtime.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kProviders{{
    {"cpu", "CPUExecutionProvider"},
    {"openvino", "OpenVINOExecutionProvider"},
    {"cuda", "CUDAExecutionProvider"},
    {"tensorrt", "TensorrtExecutionProvider"},
}};

using OptionMap = std::map<std::string, std::string>;

/// Throws what ONNX Runtime reports.
void check(OrtStatus* status) { Ort::ThrowOnError(status); }

/// The options as the C API takes them.
struct OptionPointers {
  explicit OptionPointers(const OptionMap& options) {
    for (const auto& [key, value] : options) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  }
  std::vector<const char*> keys;
  std::vector<const char*> values;
};

void append_cuda(Ort::SessionOptions& session, const OptionMap& options) {
  const OrtApi& api = Ort::GetApi();
  OrtCUDAProviderOptionsV2* made = nullptr;
  check(api.CreateCUDAProviderOptions(&made));
  const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api.ReleaseCUDAProviderOptions)> own(
      made, api.ReleaseCUDAProviderOptions);
  const OptionPointers pointers(options);
  check(api.UpdateCUDAProviderOptions(made, pointers.keys.data(), pointers.values.data(),
                                      pointers.keys.size()));
  check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(session, made));
}

void append_tensorrt(Ort::SessionOptions& session, const OptionMap& options) {
  const OrtApi& api = Ort::GetApi();
  OrtTensorRTProviderOptionsV2* made = nullptr;
  check(api.CreateTensorRTProviderOptions(&made));
  const std::unique_ptr<OrtTensorRTProviderOptionsV2, decltype(api.ReleaseTensorRTProviderOptions)>
      own(made, api.ReleaseTensorRTProviderOptions);
  const OptionPointers pointers(options);
  check(api.UpdateTensorRTProviderOptions(made, pointers.keys.data(), pointers.values.data(),
                                          pointers.keys.size()));
  check(api.SessionOptionsAppendExecutionProvider_TensorRT_V2(session, made));
}

void append_openvino(Ort::SessionOptions& session, const OptionMap& options, int threads) {
  std::unordered_map<std::string, std::string> all(options.begin(), options.end());
  // The session's own threads are not those of OpenVINO.
  if (threads > 0) all.emplace("num_of_threads", std::to_string(threads));
  session.AppendExecutionProvider("OpenVINO", all);
}

void append_own(Ort::SessionOptions& session, const ProviderSettings& one, int threads) {
  if (one.name == "cuda") append_cuda(session, one.options);
  if (one.name == "tensorrt") append_tensorrt(session, one.options);
  if (one.name == "openvino") append_openvino(session, one.options, threads);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string known_providers() {
  std::string list;
  for (const auto& names : kProviders)
    list += (list.empty() ? "" : ", ") + std::string(names.first);
  return list;
}

/// Without what ONNX Runtime puts before its messages: "[ONNXRuntimeError] : 11 : EP_FAIL : ".
std::string without_code(const std::string& text) {
  if (text.rfind("[ONNXRuntimeError] : ", 0) != 0) return text;
  std::size_t start = 0;
  for (int field = 0; field < 3; ++field) {
    const std::size_t at = text.find(" : ", start);
    if (at == std::string::npos) return text;
    start = at + 3;
  }
  return text.substr(start);
}

/// From behind a position in somebody's sources, "file.cc:306 function(arguments) " or
/// "file.cpp:114: ".
std::string without_position(const std::string& text) {
  for (const std::string_view file : {".cpp:", ".cc:"}) {
    const std::size_t at = text.rfind(file);
    if (at == std::string::npos) continue;
    const std::size_t line_end = text.find_first_not_of("0123456789", at + file.size());
    if (line_end == std::string::npos) continue;
    if (text[line_end] == ':') {
      const std::size_t words = text.find_first_not_of(" \n", line_end + 1);
      return words == std::string::npos ? text : text.substr(words);
    }
    for (const std::string_view function_end : {")> ", ") "}) {
      const std::size_t end = text.find(function_end, line_end);
      if (end != std::string::npos) return text.substr(end + function_end.size());
    }
  }
  return text;
}

/// What OpenVINO says of an option that is no number is the name of the function that read it.
std::string refusal(const ProviderSettings& one, const std::string& message) {
  std::string reason = short_reason(message);
  constexpr std::array<std::string_view, 6> kReaders{"stoi",  "stol", "stoll",
                                                     "stoul", "stof", "stod"};
  const std::string last_word = reason.substr(reason.rfind(' ') + 1);
  if (std::find(kReaders.begin(), kReaders.end(), last_word) == kReaders.end()) return reason;
  std::string given;
  for (const auto& [key, value] : one.options) {
    given += (given.empty() ? "" : ", ") + key + "=" + value;
  }
  return "one of its options should be a number: " + given;
}

/// Without a fallback: what cannot be used for want of something on the device is left out.
Status append_one(Ort::SessionOptions& session, const ProviderSettings& one, int threads,
                  ProviderChoice& choice) {
  const std::string name = runtime_provider_name(one.name);
  if (name.empty()) {
    return Error{ErrorCode::kUsage, "provider '" + one.name + "' is not known; known: " +
                                        known_providers() + ", and plugins with a library"};
  }
  const std::vector<std::string> built_in = Ort::GetAvailableProviders();
  if (std::find(built_in.begin(), built_in.end(), name) == built_in.end()) {
    choice.missing.push_back({one.name, "this runtime has no provider " + name});
    return Done{};
  }
  static_cast<void>(take_logged());
  try {
    append_own(session, one, threads);
    choice.active.push_back({one, name});
  } catch (const std::exception& failure) {
    // OpenVINO's own words stand in the log alone.
    const std::string message = std::string(failure.what()) + "\n" + take_logged();
    const bool is_here = one.name == "openvino" && !has(message, "Failed to load library") &&
                         !has(message, "is not available");
    // What OpenVINO needs is in the bundle: it fails for what it is told.
    if (is_here || refuses_options(message)) {
      return Error{ErrorCode::kUsage, "provider '" + one.name + "': " + refusal(one, message)};
    }
    choice.missing.push_back({one.name, short_reason(message)});
  }
  return Done{};
}

}  // namespace

std::string runtime_provider_name(const std::string& name) {
  for (const auto& [ours, theirs] : kProviders) {
    if (ours == name) return std::string(theirs);
  }
  return {};
}

std::vector<std::string> with_helpers(const std::string& name) {
  if (name == "tensorrt") return {name, "cuda"};
  return {name};
}

std::string beside_program(const std::string& relative) {
  std::error_code failure;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failure);
  return failure ? relative : (program.parent_path().parent_path() / relative).string();
}

Status append_providers(Ort::Env& env, Ort::SessionOptions& options,
                        const std::vector<ProviderSettings>& wanted, int threads,
                        ProviderChoice& choice) {
  for (const ProviderSettings& one : wanted) {
    if (one.name == "cpu" && one.library.empty()) continue;
    Status status = one.library.empty() ? append_one(options, one, threads, choice)
                                        : append_plugin(env, options, one, choice);
    if (!status) return status;
  }
  return Done{};
}

bool refuses_options(const std::string& message) {
  std::string text = message;
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view part :
       {"unknown provider option", "unknown option", "invalid value for", "invalid provider option",
        "failed to parse provider option", "unwanted", "invalid option",
        "couldn't create directory"}) {
    if (has(text, part)) return true;
  }
  // How plugins say it, whatever their words.
  return has(text, "error creating execution provider") && has(text, "invalid_argument");
}

std::string short_reason(const std::string& message) {
  std::string text = message;
  // What stands before the words that mean something: positions in sources and outer errors.
  for (const std::string_view marker :
       {" with error: ", "[ERROR] [OpenVINO] ", "[OpenVINO-EP] ", "Exception from "}) {
    if (const std::size_t at = text.rfind(marker); at != std::string::npos) {
      text = text.substr(at + marker.size());
    }
  }
  for (const std::string_view start : {"[ONNXRuntimeError]", "Invalid provider_option"}) {
    if (const std::size_t at = text.rfind(start); at != std::string::npos) text = text.substr(at);
  }
  text = without_position(without_code(text));
  const std::string_view missing = ": cannot open shared object file: No such file or directory";
  if (const std::size_t at = text.find(missing); at != std::string::npos) {
    return "the library " + text.substr(0, at) + " is missing";
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

Error run_error(const std::string& provider, const std::exception& failure) {
  const auto* by_runtime = dynamic_cast<const Ort::Exception*>(&failure);
  const bool refused =
      by_runtime != nullptr && by_runtime->GetOrtErrorCode() == ORT_INVALID_ARGUMENT;
  if (provider == "cpu" || refused) {
    return {ErrorCode::kModelOrData, std::string("inference failed: ") + failure.what()};
  }
  return {ErrorCode::kHarness,
          "inference by provider '" + provider + "' failed: " + short_reason(failure.what())};
}

}  // namespace edgesmith
