#include "plugins.hpp"

#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <tuple>

#include "file.hpp"

namespace edgesmith {
namespace {

using ElfHeader = ElfW(Ehdr);
using ProgramHeader = ElfW(Phdr);

/// Reads a value at an offset of a file; false if the file ends before.
template <typename T>
bool read_at(const OpenFile& file, std::uint64_t offset, T& value) {
  return ::pread(file.descriptor.get(), &value, sizeof value, static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(sizeof value);
}

/// Whether a library ends before its segments do: the loader would die of reading them.
bool is_cut_off(const OpenFile& file, const ElfHeader& header) {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    ProgramHeader segment{};
    const std::uint64_t at = header.e_phoff + std::uint64_t{i} * header.e_phentsize;
    if (!read_at(file, at, segment)) return true;
    if (segment.p_filesz > file.bytes || segment.p_offset > file.bytes - segment.p_filesz) {
      return true;
    }
  }
  return false;
}

/// What is wrong with a library before the loader sees it; empty if nothing is. The loader says
/// "no such file" also of a library for another machine.
std::string problem_of(const std::string& path) {
  const Result<OpenFile> file = open_file(path);
  if (!file) return file.error().message;
  ElfHeader header{};
  ElfHeader ours{};
  // Of a library for a machine of fewer bits these come first, too.
  const bool is_elf = read_at(*file, 0, header.e_ident) &&
                      std::memcmp(static_cast<const void*>(header.e_ident), ELFMAG, SELFMAG) == 0;
  if (!is_elf) return path + " is no library";
  if (!read_at(*file, 0, header)) return path + " is cut off";
  const Result<OpenFile> program = open_file("/proc/self/exe");
  if (!program || !read_at(*program, 0, ours)) return {};
  const auto kind = [](const ElfHeader& one) {
    return std::tuple(one.e_ident[EI_CLASS], one.e_ident[EI_DATA], one.e_machine);
  };
  if (kind(header) != kind(ours)) return path + " is for another machine than this one";
  return is_cut_off(*file, header) ? path + " is cut off" : std::string();
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
