/// \file
/// A loaded model. Inputs and outputs are bound to the caller's memory once; run() then neither
/// allocates nor copies, but to the memory of a provider that has its own, and back. No header of
/// ONNX Runtime is needed to use it.
///
///     auto session = edgesmith::Session::open("model/int8.onnx", {});
///     if (!session) { std::cerr << session.error().message; return 1; }
///     std::array<float, 64> image{};
///     std::array<float, 10> logits{};
///     if (auto s = session->bind_input("image", image.data(), {1, 1, 8, 8}); !s) { ... }
///     if (auto s = session->bind_output("logits", logits.data(), {1, 10}); !s) { ... }
///     if (auto s = session->run(); !s) { ... }
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "edgesmith/providers.hpp"
#include "edgesmith/result.hpp"
#include "edgesmith/tensor.hpp"

namespace edgesmith {

/// How much the runtime rewrites the graph when it loads.
enum class OptimizationLevel { kDisable, kBasic, kExtended, kAll };

/// The level's name ("disable", "basic", "extended", "all"), or nothing.
std::optional<OptimizationLevel> optimization_level_from_name(std::string_view name);

struct SessionSettings {
  int threads = 1;                          ///< Intra-op threads; 0: the runtime decides.
  std::vector<ProviderSettings> providers;  ///< In order of preference; cpu takes the rest.
  bool require_provider = false;            ///< Fail unless the first of them can be used.
  OptimizationLevel optimization_level = OptimizationLevel::kAll;
  std::map<std::string, std::string> config;  ///< Session configuration entries.
  bool arena = true;                          ///< Keep freed memory for the next inference.
  std::string profile_prefix;                 ///< Not empty: profile, to files of this prefix.
  /// Where a provider may keep the engines that it compiles, for a faster start of later processes:
  /// an absolute folder, "off", or nothing for the provider's default (tensorrt: the user's cache
  /// folder; others: off).
  std::string engine_cache;
  bool record_placement = false;  ///< For placement().
};

/// Version and execution providers of the runtime library that is loaded.
struct RuntimeInfo {
  std::string version;
  std::vector<std::string> providers;  ///< As ONNX Runtime names them.
};

/// \return kHarness if the library is too old for this program.
Result<RuntimeInfo> runtime_info();

/// Memory of an output that the runtime allocated; valid until the next run().
struct OutputView {
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> dims;
  const void* data = nullptr;  ///< In C order.
  std::size_t bytes = 0;
};

/// Memory that inputs and outputs may lie in.
struct MemoryPlace {
  std::string name = "Cpu";  ///< As ONNX Runtime names it; "Cuda" is the memory of an NVIDIA GPU.
  int device = 0;            ///< Which of the devices of this kind.
};

/// One loaded model with its bound inputs and outputs. Not for use by two threads at once: each
/// thread takes a stream() of its own.
class Session {
 public:
  /// Loads a model file.
  /// A provider that cannot be used on this machine is left out: see fallbacks().
  /// \return kModelOrData if the file is no model or a setting is unknown, kUsage for an unknown
  ///         provider or an option that it refuses, kHarness if the runtime library is too old, a
  ///         plugin cannot be loaded or a required provider cannot be used.
  static Result<Session> open(const std::string& model_path, const SessionSettings& settings);

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// A second stream of inferences over the same loaded model, with bindings of its own. It may run
  /// in another thread at the same time as this one, shares weights and intra-op threads with it,
  /// and may outlive it. \return kModelOrData with the runtime's own message if it fails.
  Result<Session> stream() const;

  /// The provider that comes first: "cpu" where none of the wanted ones can be used.
  const std::string& provider() const;
  /// ONNX Runtime's name of provider(), such as "CPUExecutionProvider".
  const std::string& runtime_provider() const;
  /// The wanted providers that are not used, with the reasons.
  const std::vector<ProviderFallback>& fallbacks() const;
  /// What became of the engines that the provider keeps.
  const EngineCacheUse& engine_cache() const;
  /// Which provider has which nodes, where SessionSettings::record_placement asked for it.
  /// \return kHarness if nobody asked, or the runtime is older than 1.24 and cannot tell.
  Result<std::vector<ProviderNodes>> placement() const;

  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;

  /// Binds memory that stays alive and in place while the session is used.
  /// \param bytes Size of the memory; must be exactly that of `dims`.
  /// \param place Where the memory lies; run() copies what the provider wants elsewhere.
  /// \return kModelOrData if name, type, dimensions or size do not fit the model.
  Status bind_input(const std::string& name, DataType type, void* data, std::size_t bytes,
                    const std::vector<std::int64_t>& dims, const MemoryPlace& place = {});
  Status bind_output(const std::string& name, DataType type, void* data, std::size_t bytes,
                     const std::vector<std::int64_t>& dims, const MemoryPlace& place = {});

  /// Lets the runtime allocate this output anew at each run(), for sizes not known before.
  Status bind_output_to_runtime(const std::string& name);

  /// Typed forms; `data` holds as many elements as `dims` say.
  template <typename T>
  Status bind_input(const std::string& name, T* data, const std::vector<std::int64_t>& dims) {
    return bind_input(name, data_type_of<T>(), data, typed_bytes<T>(dims), dims);
  }
  template <typename T>
  Status bind_output(const std::string& name, T* data, const std::vector<std::int64_t>& dims) {
    return bind_output(name, data_type_of<T>(), data, typed_bytes<T>(dims), dims);
  }

  /// One inference from the bound inputs to the bound outputs.
  /// \return kModelOrData with the runtime's own message if it fails.
  Status run();

  /// An output after run(), whoever allocated it.
  /// \return kModelOrData if no output of this name is bound, or its element type is not supported.
  Result<OutputView> output(const std::string& name) const;

  /// Ends profiling, which SessionSettings::profile_prefix began.
  /// \return the path of the profile that was written; kHarness if there is none.
  Result<std::string> end_profiling();

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);

  template <typename T>
  static std::size_t typed_bytes(const std::vector<std::int64_t>& dims) {
    return static_cast<std::size_t>(element_count(dims).value_or(0)) * sizeof(T);
  }

  std::unique_ptr<State> state_;
};

}  // namespace edgesmith
