#include "plugins.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>

namespace edgesmith {
namespace {

// Where an ELF header tells of the machine: class, byte order, and e_machine.
constexpr std::size_t kHeaderBytes = 20;
using ElfHead = std::array<char, kHeaderBytes>;

bool read_head(const std::string& path, ElfHead& head) {
  std::ifstream file(path, std::ios::binary);
  return static_cast<bool>(file.read(head.data(), static_cast<std::streamsize>(head.size())));
}

/// What is wrong with a library before the loader sees it; empty if nothing is. The loader says
/// "no such file" also of a library for another machine.
std::string problem_of(const std::string& path) {
  if (!std::ifstream(path)) return "cannot open " + path + ": " + std::strerror(errno);
  ElfHead head{};
  ElfHead ours{};
  if (!read_head(path, head) || std::memcmp(head.data(),
                                            "\x7f"
                                            "ELF",
                                            4) != 0) {
    return path + " is no library";
  }
  if (!read_head("/proc/self/exe", ours)) return {};
  const bool same =
      head[4] == ours[4] && head[5] == ours[5] && head[18] == ours[18] && head[19] == ours[19];
  return same ? std::string() : path + " is for another machine than this one";
}

/// The libraries that this process has loaded; each stays to the end of the process.
class Libraries {
 public:
  static Libraries& instance() {
    // Never destroyed: sessions of static storage may end after it. NOLINTNEXTLINE(*-owning-memory)
    static auto* const kLibraries = new Libraries;
    return *kLibraries;
  }

  Libraries(const Libraries&) = delete;
  Libraries& operator=(const Libraries&) = delete;
  ~Libraries() = delete;

  /// The devices that a library offers. \return kHarness if it cannot be loaded.
  Result<std::vector<Ort::ConstEpDevice>> devices(const ProviderSettings& plugin) {
    const std::scoped_lock lock(mutex_);
    // The runtime takes a relative path for one below its own folder.
    const std::string path = std::filesystem::absolute(plugin.library).string();
    if (const auto known = devices_.find(path); known != devices_.end()) return known->second;
    if (const std::string problem = problem_of(path); !problem.empty()) {
      return failure(plugin, problem);
    }
    try {
      // The runtime has one environment, which lives as long as somebody holds it.
      if (static_cast<OrtEnv*>(env_) == nullptr) env_ = make_env();
      const std::vector<Ort::ConstEpDevice> before = env_.GetEpDevices();
      env_.RegisterExecutionProviderLibrary(path.c_str(), path);
      std::vector<Ort::ConstEpDevice> added;
      for (const Ort::ConstEpDevice& device : env_.GetEpDevices()) {
        if (std::none_of(before.begin(), before.end(), [&](const Ort::ConstEpDevice& one) {
              return static_cast<const OrtEpDevice*>(one) ==
                     static_cast<const OrtEpDevice*>(device);
            })) {
          added.push_back(device);
        }
      }
      return devices_.emplace(path, std::move(added)).first->second;
    } catch (const std::exception& failed) {
      return failure(plugin, reason_of(failed.what()));
    }
  }

 private:
  Libraries() = default;

  static Error failure(const ProviderSettings& plugin, const std::string& reason) {
    return {ErrorCode::kHarness, "provider '" + plugin.name + "' cannot be loaded: " + reason};
  }

  static std::string reason_of(const std::string& message) {
    if (message.find("CreateEpFactories") != std::string::npos) {
      return "the library is no execution provider (it has no CreateEpFactories)";
    }
    return short_reason(message);
  }

  std::mutex mutex_;
  Ort::Env env_{nullptr};
  std::map<std::string, std::vector<Ort::ConstEpDevice>> devices_;
};

std::string type_name(OrtHardwareDeviceType type) {
  switch (type) {
    case OrtHardwareDeviceType_CPU:
      return "cpu";
    case OrtHardwareDeviceType_GPU:
      return "gpu";
    case OrtHardwareDeviceType_NPU:
      return "npu";
  }
  return "unknown";
}

/// What a device says of itself under a key.
std::string told(const Ort::ConstEpDevice& device, const std::string& key) {
  if (key == "type") return type_name(device.Device().Type());
  if (key == "vendor") return device.Device().Vendor();
  if (key == "provider") return device.EpName();
  const char* value = device.EpMetadata().GetValue(key.c_str());
  return value == nullptr ? "" : value;
}

bool fits(const Ort::ConstEpDevice& device, const std::map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(),
                     [&](const auto& entry) { return told(device, entry.first) == entry.second; });
}

std::string words(const std::map<std::string, std::string>& wanted) {
  std::string text;
  for (const auto& [key, value] : wanted) text += (text.empty() ? "" : ", ") + key + " " + value;
  return text;
}

}  // namespace

Status append_plugin(Ort::Env& env, Ort::SessionOptions& options, const ProviderSettings& plugin,
                     ProviderChoice& choice) {
  if (api_version() < kPluginApi) {
    return Error{ErrorCode::kHarness, "provider '" + plugin.name +
                                          "' is a plugin, which takes ONNX Runtime 1.22 or later"};
  }
  const Result<std::vector<Ort::ConstEpDevice>> devices = Libraries::instance().devices(plugin);
  if (!devices) return devices.error();
  if (devices->empty()) {
    choice.missing.push_back({plugin.name, "its library offers no device on this machine"});
    return Done{};
  }
  const auto chosen = std::find_if(devices->begin(), devices->end(),
                                   [&](const auto& one) { return fits(one, plugin.device); });
  if (chosen == devices->end()) {
    choice.missing.push_back(
        {plugin.name, "its library offers no device here with " + words(plugin.device)});
    return Done{};
  }
  return guarded(ErrorCode::kHarness, "provider '" + plugin.name + "'", [&]() -> Status {
    const std::unordered_map<std::string, std::string> set(plugin.options.begin(),
                                                           plugin.options.end());
    options.AppendExecutionProvider_V2(env, {*chosen}, set);
    choice.active.push_back({plugin, chosen->EpName()});
    return Done{};
  });
}

}  // namespace edgesmith
