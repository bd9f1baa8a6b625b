/// \file
/// Execution providers: what runs the nodes of a model. The cpu provider is always there and takes
/// what the others leave.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace edgesmith {

/// A provider that a session is to use, and how.
struct ProviderSettings {
  std::string name;  ///< "cpu", "openvino", "cuda", "tensorrt", or a name of yours for a plugin.
  // The initializers let settings without these be written without a warning of GCC's.
  // NOLINTBEGIN(readability-redundant-member-init)
  std::map<std::string, std::string> options{};  ///< By the provider's own names.
  std::string library{};  ///< Of a plugin: the file of its library. Empty: the runtime's own.
  /// Of a plugin: what the device must say that it offers, such as {"type", "npu"}; other keys are
  /// the provider's metadata. Empty: its first device.
  std::map<std::string, std::string> device{};
  /// What the runtime may do to a model before this provider gets it, by the name of the
  /// optimization level. Empty: as the session's settings say.
  std::string optimization_level{};
  // NOLINTEND(readability-redundant-member-init)
};

/// A provider that was asked for and is not used.
struct ProviderFallback {
  std::string provider;
  std::string reason;  ///< One line, such as "the library libcublas.so.13 is missing".
};

/// What became of the engines that a provider keeps between processes.
struct EngineCacheUse {
  /// "none": nothing is kept; "made": for the first time; "used"; "made anew": see `reason`.
  std::string state = "none";
  std::string folder;
  std::string reason;  ///< One line; why nothing is kept, or why what was there could not be used.
};

/// The nodes that one provider runs, by operator type.
struct ProviderNodes {
  std::string provider;  ///< As ONNX Runtime names it.
  std::map<std::string, std::uint64_t> operators;

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const auto& [type, nodes] : operators) sum += nodes;
    return sum;
  }
};

/// ONNX Runtime's name of one of its own providers, such as "CUDAExecutionProvider"; empty for
/// others.
std::string runtime_provider_name(const std::string& name);

/// A provider by its name, with those that take what it leaves before the cpu does: cuda stands
/// behind tensorrt.
std::vector<std::string> with_helpers(const std::string& name);

/// A file of the bundle that this program lies in: `relative` is below the folder above the
/// program's.
std::string beside_program(const std::string& relative);

}  // namespace edgesmith
