#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "engine_cache.hpp"

namespace edgesmith {
namespace {

/// The value of the first line that begins with a key, as in /proc/cpuinfo.
std::string line_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) == 0) return line;
  }
  return {};
}

std::string gpus() {
  std::string text;
  std::error_code error;
  for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    text += line_of((gpu.path() / "information").string(), "Model") +
            line_of((gpu.path() / "information").string(), "GPU UUID") + ";";
  }
  return text;
}

/// TensorRT's own number, such as 100900, from the library that the provider will load; empty if it
/// is not there.
std::string tensorrt_version() {
  void* const library = ::dlopen("libnvinfer.so.10", RTLD_NOW);
  if (library == nullptr) return {};
  using Version = int (*)();
  const auto version = reinterpret_cast<Version>(::dlsym(library, "getInferLibVersion"));
  const std::string text = version == nullptr ? "unknown" : std::to_string(version());
  // Stays loaded: the provider is about to need it.
  return text;
}

}  // namespace

std::map<std::string, std::string> engine_facts(const std::string& provider,
                                                const std::string& runtime_version) {
  std::map<std::string, std::string> facts{{"ONNX Runtime", runtime_version}};
  if (provider == "tensorrt") {
    facts["GPU"] = gpus();
    facts["driver"] = line_of("/proc/driver/nvidia/version", "NVRM version");
    facts["TensorRT"] = tensorrt_version();
  } else {
    facts["CPU"] = line_of("/proc/cpuinfo", "model name") + line_of("/proc/cpuinfo", "flags");
  }
  return facts;
}

std::string engine_cache_root(const std::string& setting, const std::string& provider) {
  if (setting == "off") return {};
  if (!setting.empty()) return setting;
  if (provider != "tensorrt") return {};
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/edgesmith/engines";
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? std::string(home) + "/.cache/edgesmith/engines" : "";
}

std::map<std::string, std::string> engine_cache_options(const std::string& provider,
                                                        const std::string& folder) {
  if (provider == "openvino") return {{"cache_dir", folder}};
  if (provider != "tensorrt") return {};
  return {{"trt_engine_cache_enable", "1"},
          {"trt_engine_cache_path", folder},
          {"trt_timing_cache_enable", "1"},
          {"trt_timing_cache_path", folder}};
}

}  // namespace edgesmith
