#include "nvml.hpp"

#include <dlfcn.h>

#include <array>
#include <utility>

namespace edgesmith {
namespace {

// Types and numbers of the library's documented binary interface.
using GpuHandle = void*;
constexpr int kNvmlSuccess = 0;
constexpr unsigned kNvmlClockSm = 1;
constexpr unsigned kNvmlTemperatureGpu = 0;

template <typename Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(::dlsym(library, name));
}

/// A number that a function of the library gives for the GPU.
template <typename Number, typename... More>
Reading<std::uint64_t> number_of(void* library, GpuHandle gpu, const char* name, More... more) {
  using Function = int (*)(GpuHandle, More..., Number*);
  const auto function = symbol<Function>(library, name);
  Number value = 0;
  if (function == nullptr || function(gpu, more..., &value) != kNvmlSuccess) {
    return unreadable<std::uint64_t>(std::string("the driver does not answer ") + name);
  }
  return {static_cast<std::uint64_t>(value), {}};
}

}  // namespace

struct Nvml::Library {
  void* handle = nullptr;
  GpuHandle gpu = nullptr;
  bool started = false;
  std::string name;

  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (handle == nullptr) return;
    const auto shutdown = symbol<int (*)()>(handle, "nvmlShutdown");
    if (started && shutdown != nullptr) shutdown();
    ::dlclose(handle);
  }
};

Nvml::Nvml(std::unique_ptr<Library> library) : library_(std::move(library)) {}
Nvml::Nvml(Nvml&&) noexcept = default;
Nvml& Nvml::operator=(Nvml&&) noexcept = default;
Nvml::~Nvml() = default;

Result<Nvml> Nvml::open(const std::string& library, unsigned index) {
  const auto missing = [&](const std::string& what) {
    return Error{ErrorCode::kDevice, what + " (" + library + ")"};
  };
  auto opened = std::make_unique<Library>();
  opened->handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened->handle == nullptr) return missing("the NVIDIA driver's library is not here");
  const auto start = symbol<int (*)()>(opened->handle, "nvmlInit_v2");
  opened->started = start != nullptr && start() == kNvmlSuccess;
  if (!opened->started) return missing("the NVIDIA driver's library does not start");
  const auto find =
      symbol<int (*)(unsigned, GpuHandle*)>(opened->handle, "nvmlDeviceGetHandleByIndex_v2");
  if (find == nullptr || find(index, &opened->gpu) != kNvmlSuccess) {
    return missing("there is no NVIDIA GPU " + std::to_string(index));
  }
  std::array<char, 96> name{};
  const auto name_of =
      symbol<int (*)(GpuHandle, char*, unsigned)>(opened->handle, "nvmlDeviceGetName");
  if (name_of != nullptr &&
      name_of(opened->gpu, name.data(), static_cast<unsigned>(name.size() - 1)) == kNvmlSuccess) {
    opened->name = name.data();
  }
  return Nvml(std::move(opened));
}

const std::string& Nvml::name() const { return library_->name; }

GpuState Nvml::state() const {
  void* handle = library_->handle;
  GpuHandle gpu = library_->gpu;
  GpuState state;
  state.clock_mhz = number_of<unsigned>(handle, gpu, "nvmlDeviceGetClockInfo", kNvmlClockSm);
  state.temperature_celsius =
      number_of<unsigned>(handle, gpu, "nvmlDeviceGetTemperature", kNvmlTemperatureGpu);
  state.power_milliwatts = number_of<unsigned>(handle, gpu, "nvmlDeviceGetPowerUsage");
  state.energy_millijoules =
      number_of<unsigned long long>(handle, gpu, "nvmlDeviceGetTotalEnergyConsumption");
  state.clock_event_reasons =
      number_of<unsigned long long>(handle, gpu, "nvmlDeviceGetCurrentClocksEventReasons");
  if (!state.clock_event_reasons.value) {
    // Its name before driver 535.
    state.clock_event_reasons =
        number_of<unsigned long long>(handle, gpu, "nvmlDeviceGetCurrentClocksThrottleReasons");
  }
  return state;
}

}  // namespace edgesmith
