#include "edgesmith/session.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "engine_cache.hpp"
#include "model_tensors.hpp"
#include "ort.hpp"
#include "provider_setup.hpp"
#include "session_options.hpp"

namespace edgesmith {
namespace {

Ort::MemoryInfo memory_at(const MemoryPlace& place) {
  if (place.name == MemoryPlace{}.name) {
    return Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  }
  return {place.name.c_str(), OrtDeviceAllocator, place.device, OrtMemTypeDefault};
}

}  // namespace

struct Session::State {
  /// Inputs or outputs as Ort::Session::Run() takes them.
  struct BoundValues {
    std::vector<const char*> names;  ///< Of the session's lists, which stay in place.
    std::vector<Ort::Value> values;
    std::vector<bool> ours;  ///< The others are the runtime's to allocate.

    void put(const std::string& name, Ort::Value value, bool is_ours = true) {
      const auto found = std::find(names.begin(), names.end(), name);
      const auto index = static_cast<std::size_t>(found - names.begin());
      if (found == names.end()) {
        names.push_back(name.c_str());
        values.emplace_back(nullptr);
        ours.push_back(true);
      }
      values[index] = std::move(value);
      ours[index] = is_ours;
    }
  };

  /// What the streams of a model share.
  struct Loaded {
    Ort::Env env{nullptr};
    Ort::Session session{nullptr};
    std::string provider = "cpu";
    std::string runtime_provider = "CPUExecutionProvider";
    std::vector<ProviderFallback> fallbacks;
    bool placement_recorded = false;
    EngineCacheUse engine_cache;
    std::optional<EngineCache> kept_engines;
    std::string keeps_engines;  ///< The provider that was given them.

    Loaded() = default;
    Loaded(const Loaded&) = delete;
    Loaded& operator=(const Loaded&) = delete;
    ~Loaded() {
      session = Ort::Session(nullptr);
      // What cannot be noted now is found out, and made anew, by the next process.
      if (kept_engines) static_cast<void>(kept_engines->seal());
    }
  };

  /// Gives the first of the wanted providers its folder for engines.
  static Status keep_engines(Loaded& loaded, const std::string& model_path,
                             const SessionSettings& settings,
                             std::vector<ProviderSettings>& wanted);

  /// Who runs the model that was loaded; its engines are kept.
  static Status note_loaded(Loaded& loaded, const ProviderChoice& choice,
                            const SessionSettings& settings);

  static bool is_idle(const Loaded& loaded, const ProviderChoice& choice);

  explicit State(std::shared_ptr<Loaded> shared)
      : loaded(std::move(shared)),
        binding(loaded->session),
        memory(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {}

  static Status load(Loaded& loaded, const std::string& model_path,
                     const SessionSettings& settings);

  /// Whether the provider may have a memory of its own. A binding copies an input there when it is
  /// bound and never again: later inferences would take the first one's.
  bool copies_in_run() const { return loaded->provider != "cpu" && loaded->provider != "openvino"; }

  void run_with_copies();

  std::shared_ptr<Loaded> loaded;
  Ort::IoBinding binding;
  BoundValues feeds;    ///< Where copies_in_run(), in place of the binding's inputs.
  BoundValues fetches;  ///< Likewise; the binding holds them, too, for output().
  Ort::RunOptions run_options;
  Ort::MemoryInfo memory;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
};

Status Session::State::keep_engines(Loaded& loaded, const std::string& model_path,
                                    const SessionSettings& settings,
                                    std::vector<ProviderSettings>& wanted) {
  loaded.kept_engines.reset();
  loaded.engine_cache = {};
  if (wanted.empty()) return Done{};
  ProviderSettings& first = wanted.front();
  const std::string root = engine_cache_root(settings.engine_cache, first.name);
  const auto options = engine_cache_options(first.name, root);
  // Whoever sets a provider's own options for that keeps engines in their own way.
  const bool is_set = std::any_of(options.begin(), options.end(), [&](const auto& option) {
    return first.options.count(option.first) != 0;
  });
  if (is_set && !settings.engine_cache.empty() && settings.engine_cache != "off") {
    return Error{ErrorCode::kUsage, "provider '" + first.name + "' has options of its own for " +
                                        "kept engines: leave them or the engine cache out"};
  }
  if (root.empty() || options.empty() || is_set) return Done{};
  auto facts = engine_facts(first.name, OrtGetApiBase()->GetVersionString());
  if (first.name == "tensorrt" && facts["TensorRT"].empty()) return Done{};
  for (const auto& [key, value] : first.options) facts["option " + key] = value;
  facts["threads"] = std::to_string(settings.threads);
  for (const auto& [key, value] : settings.config) facts["config " + key] = value;
  Result<EngineCache> cache = EngineCache::open(root, model_path, first.name, facts);
  if (!cache) {
    // A folder that nobody named is a convenience; one that was asked for is not.
    if (!settings.engine_cache.empty()) return cache.error();
    loaded.engine_cache.reason = cache.error().message;
    return Done{};
  }
  for (const auto& [key, value] : engine_cache_options(first.name, cache->folder())) {
    first.options.emplace(key, value);
  }
  loaded.engine_cache = cache->use();
  loaded.kept_engines.emplace(std::move(*cache));
  loaded.keeps_engines = first.name;
  return Done{};
}

Status Session::State::note_loaded(Loaded& loaded, const ProviderChoice& choice,
                                   const SessionSettings& settings) {
  if (!choice.active.empty()) {
    loaded.provider = choice.active.front().settings.name;
    loaded.runtime_provider = choice.active.front().runtime_name;
  }
  if (!loaded.kept_engines) return Done{};
  if (loaded.provider != loaded.keeps_engines) {
    loaded.kept_engines.reset();
    loaded.engine_cache = {};
    return Done{};
  }
  Status sealed = loaded.kept_engines->seal();
  if (sealed || !settings.engine_cache.empty()) return sealed;
  loaded.kept_engines.reset();
  loaded.engine_cache = {"none", "", sealed.error().message};
  return Done{};
}

/// Whether the first provider runs nothing, although there are nodes.
bool Session::State::is_idle(const Loaded& loaded, const ProviderChoice& choice) {
  if (choice.active.empty() || !loaded.placement_recorded) return false;
  const std::string& first = choice.active.front().runtime_name;
  const auto parts = loaded.session.GetEpGraphAssignmentInfo();
  return !parts.empty() && std::none_of(parts.begin(), parts.end(), [&](const auto& part) {
    return part.GetEpName() == first && !part.GetNodes().empty();
  });
}

/// Makes the session with the providers that can be used. What a provider lacks may show only when
/// the session is made, such as a GPU behind libraries that are there: then without it.
Status Session::State::load(Loaded& loaded, const std::string& model_path,
                            const SessionSettings& settings) {
  std::vector<ProviderSettings> wanted = settings.providers;
  for (;;) {
    Ort::SessionOptions options = make_options(settings);
    ProviderChoice choice;
    if (Status kept = keep_engines(loaded, model_path, settings, wanted); !kept) return kept;
    Status status = append_providers(loaded.env, options, wanted, settings.threads, choice);
    if (!status) return status;
    options.SetGraphOptimizationLevel(to_runtime(level_for(settings, choice)));
    loaded.fallbacks.insert(loaded.fallbacks.end(), choice.missing.begin(), choice.missing.end());
    const auto& missing = loaded.fallbacks;
    const bool lacks_first = std::any_of(missing.begin(), missing.end(), [&](const auto& one) {
      return one.provider == settings.providers.front().name;
    });
    if (settings.require_provider && lacks_first) {
      const ProviderFallback& first = loaded.fallbacks.front();
      return Error{ErrorCode::kHarness,
                   "provider '" + first.provider + "' is required: " + first.reason};
    }
    try {
      loaded.session = Ort::Session(loaded.env, model_path.c_str(), options);
      loaded.placement_recorded = records_placement(settings);
      if (!is_idle(loaded, choice)) return note_loaded(loaded, choice, settings);
      loaded.fallbacks.push_back(
          {choice.active.front().settings.name, "it takes none of the model's nodes"});
    } catch (const std::exception& failure) {
      if (choice.active.empty()) throw;
      // A model that the cpu cannot load either is no provider's fault: throws.
      const Ort::Session by_cpu(loaded.env, model_path.c_str(), make_options(settings));
      const std::string& provider = choice.active.front().settings.name;
      if (refuses_options(failure.what())) {
        return Error{ErrorCode::kUsage,
                     "provider '" + provider + "': " + short_reason(failure.what())};
      }
      loaded.fallbacks.push_back({provider, short_reason(failure.what())});
    }
    wanted.clear();
    if (settings.require_provider) continue;
    for (std::size_t i = 1; i < choice.active.size(); ++i) {
      wanted.push_back(choice.active[i].settings);
    }
  }
}

void Session::State::run_with_copies() {
  for (std::size_t i = 0; i < fetches.values.size(); ++i) {
    if (!fetches.ours[i]) fetches.values[i] = Ort::Value(nullptr);
  }
  loaded->session.Run(run_options, feeds.names.data(), feeds.values.data(), feeds.names.size(),
                      fetches.names.data(), fetches.values.data(), fetches.names.size());
  for (std::size_t i = 0; i < fetches.values.size(); ++i) {
    if (!fetches.ours[i]) binding.BindOutput(fetches.names[i], fetches.values[i]);
  }
}

std::optional<OptimizationLevel> optimization_level_from_name(std::string_view name) {
  if (name == "disable") return OptimizationLevel::kDisable;
  if (name == "basic") return OptimizationLevel::kBasic;
  if (name == "extended") return OptimizationLevel::kExtended;
  if (name == "all") return OptimizationLevel::kAll;
  return std::nullopt;
}

Result<RuntimeInfo> runtime_info() {
  if (Status status = initialize_api(); !status) return status.error();
  return guarded(ErrorCode::kHarness, "ONNX Runtime", []() -> Result<RuntimeInfo> {
    return RuntimeInfo{OrtGetApiBase()->GetVersionString(), Ort::GetAvailableProviders()};
  });
}

Result<Session> Session::open(const std::string& model_path, const SessionSettings& settings) {
  if (Status status = initialize_api(); !status) return status.error();
  const std::string what = "cannot load " + model_path + " as a model for this runtime";
  return guarded(ErrorCode::kModelOrData, what, [&]() -> Result<Session> {
    auto loaded = std::make_shared<State::Loaded>();
    loaded->env = make_env();
    if (Status status = State::load(*loaded, model_path, settings); !status) return status.error();
    const Ort::Session& session = loaded->session;
    auto state = std::make_unique<State>(std::move(loaded));
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
      Result<TensorInfo> info = describe_tensor(session.GetInputNameAllocated(i, allocator).get(),
                                                session.GetInputTypeInfo(i));
      if (!info) return info.error();
      state->inputs.push_back(std::move(*info));
    }
    for (std::size_t i = 0; i < session.GetOutputCount(); ++i) {
      Result<TensorInfo> info = describe_tensor(session.GetOutputNameAllocated(i, allocator).get(),
                                                session.GetOutputTypeInfo(i));
      if (!info) return info.error();
      state->outputs.push_back(std::move(*info));
    }
    return Session(std::move(state));
  });
}

Result<Session> Session::stream() const {
  return guarded(ErrorCode::kModelOrData, "cannot make a stream", [&]() -> Result<Session> {
    auto state = std::make_unique<State>(state_->loaded);
    state->inputs = state_->inputs;
    state->outputs = state_->outputs;
    return Session(std::move(state));
  });
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

const std::string& Session::provider() const { return state_->loaded->provider; }
const std::string& Session::runtime_provider() const { return state_->loaded->runtime_provider; }
const EngineCacheUse& Session::engine_cache() const { return state_->loaded->engine_cache; }
const std::vector<ProviderFallback>& Session::fallbacks() const {
  return state_->loaded->fallbacks;
}

Result<std::vector<ProviderNodes>> Session::placement() const {
  if (!state_->loaded->placement_recorded) {
    return Error{ErrorCode::kHarness, "placement was not recorded, or takes ONNX Runtime 1.24"};
  }
  return guarded(ErrorCode::kHarness, "placement", [&]() -> Result<std::vector<ProviderNodes>> {
    std::map<std::string, ProviderNodes> found;
    for (const Ort::ConstEpAssignedSubgraph& part :
         state_->loaded->session.GetEpGraphAssignmentInfo()) {
      const std::string provider = part.GetEpName();
      ProviderNodes& nodes = found[provider];
      nodes.provider = provider;
      for (const Ort::ConstEpAssignedNode& node : part.GetNodes()) {
        ++nodes.operators[node.GetOperatorType()];
      }
    }
    std::vector<ProviderNodes> list;
    list.reserve(found.size());
    for (auto& [provider, nodes] : found) list.push_back(std::move(nodes));
    return list;
  });
}

const std::vector<TensorInfo>& Session::inputs() const { return state_->inputs; }
const std::vector<TensorInfo>& Session::outputs() const { return state_->outputs; }

Status Session::bind_input(const std::string& name, DataType type, void* data, std::size_t bytes,
                           const std::vector<std::int64_t>& dims, const MemoryPlace& place) {
  const TensorInfo* info = find_tensor(state_->inputs, name);
  if (Status status = check_binding(info, name, type, bytes, dims); !status) return status;
  return guarded(ErrorCode::kModelOrData, "cannot bind '" + name + "'", [&]() -> Status {
    Ort::Value value = Ort::Value::CreateTensor(memory_at(place), data, bytes, dims.data(),
                                                dims.size(), to_runtime(type));
    if (state_->copies_in_run()) {
      state_->feeds.put(info->name, std::move(value));
    } else {
      state_->binding.BindInput(name.c_str(), value);
    }
    return Done{};
  });
}

Status Session::bind_output(const std::string& name, DataType type, void* data, std::size_t bytes,
                            const std::vector<std::int64_t>& dims, const MemoryPlace& place) {
  const TensorInfo* info = find_tensor(state_->outputs, name);
  if (Status status = check_binding(info, name, type, bytes, dims); !status) return status;
  return guarded(ErrorCode::kModelOrData, "cannot bind '" + name + "'", [&]() -> Status {
    Ort::Value value = Ort::Value::CreateTensor(memory_at(place), data, bytes, dims.data(),
                                                dims.size(), to_runtime(type));
    state_->binding.BindOutput(name.c_str(), value);
    if (state_->copies_in_run()) state_->fetches.put(info->name, std::move(value));
    return Done{};
  });
}

Status Session::bind_output_to_runtime(const std::string& name) {
  const TensorInfo* info = find_tensor(state_->outputs, name);
  if (info == nullptr) return model_error("the model has no output named '" + name + "'");
  return guarded(ErrorCode::kModelOrData, "cannot bind '" + name + "'", [&]() -> Status {
    state_->binding.BindOutput(name.c_str(), state_->memory);
    if (state_->copies_in_run()) state_->fetches.put(info->name, Ort::Value(nullptr), false);
    return Done{};
  });
}

Status Session::run() {
  // No guarded() here: building its message would allocate inside what callers time.
  try {
    if (state_->copies_in_run()) {
      state_->run_with_copies();
    } else {
      state_->loaded->session.Run(state_->run_options, state_->binding);
    }
    return Done{};
  } catch (const std::exception& failure) {
    return run_error(state_->loaded->provider, failure);
  }
}

Result<OutputView> Session::output(const std::string& name) const {
  return guarded(ErrorCode::kModelOrData, "output '" + name + "'", [&]() -> Result<OutputView> {
    const std::vector<std::string> names = state_->binding.GetOutputNames();
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return model_error("output '" + name + "' is not bound");
    const std::vector<Ort::Value> values = state_->binding.GetOutputValues();
    const Ort::Value& value = values.at(static_cast<std::size_t>(found - names.begin()));
    const auto tensor = value.GetTensorTypeAndShapeInfo();
    const std::optional<DataType> type = from_runtime(tensor.GetElementType());
    if (!type) return model_error("output '" + name + "' has an unsupported element type");
    return OutputView{*type, tensor.GetShape(), value.GetTensorRawData(),
                      tensor.GetElementCount() * element_bytes(*type)};
  });
}

Result<std::string> Session::end_profiling() {
  return guarded(ErrorCode::kHarness, "profile", [&]() -> Result<std::string> {
    Ort::AllocatorWithDefaultOptions allocator;
    return std::string(state_->loaded->session.EndProfilingAllocated(allocator).get());
  });
}

}  // namespace edgesmith
