// The sample provider on a device that looks to ONNX Runtime like an NVIDIA GPU: with a memory of
// its own, which is the host's in truth. What is not copied to it does not reach the kernels.
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "factory_base.hpp"
#include "provider.hpp"

namespace edgesmith::test::plugin {
namespace {

constexpr std::uint32_t kNvidia = 0x10de;

OrtStatus* make_memory_info(OrtMemoryInfo** info) {
  return Ort::GetApi().CreateMemoryInfo_V2("Cuda", OrtMemoryInfoDeviceType_GPU, kNvidia, 0,
                                           OrtDeviceMemoryType_DEFAULT, 0, OrtDeviceAllocator,
                                           info);
}

/// Memory "of the device".
struct Allocator : OrtAllocator {
  explicit Allocator(const OrtMemoryInfo* memory) : OrtAllocator{}, info(memory) {
    version = kApiVersion;
    Alloc = [](OrtAllocator*, std::size_t bytes) noexcept -> void* {
      return ::operator new(bytes, std::nothrow);
    };
    Free = [](OrtAllocator*, void* memory) noexcept { ::operator delete(memory); };
    Info = [](const OrtAllocator* self) noexcept { return as<const Allocator>(self)->info; };
    Reserve = Alloc;
  }
  const OrtMemoryInfo* info;
};

/// Copies between that memory and the host's.
struct Transfer : OrtDataTransferImpl {
  Transfer() : OrtDataTransferImpl{} {
    ort_version_supported = kApiVersion;
    Release = [](OrtDataTransferImpl* self) noexcept {
      const std::unique_ptr<Transfer> released(as<Transfer>(self));
    };
    CanCopy = [](const OrtDataTransferImpl* self, const OrtMemoryDevice* from,
                 const OrtMemoryDevice* to) noexcept {
      const auto vendor = as<const Transfer>(self)->vendor;
      return vendor(from) == kNvidia || vendor(to) == kNvidia;
    };
    CopyTensors = [](OrtDataTransferImpl*, const OrtValue** from, OrtValue** to, OrtSyncStream**,
                     std::size_t count) noexcept {
      return guarded([&] {
        for (std::size_t i = 0; i < count; ++i) copy(from[i], to[i]);
      });
    };
  }

  static void copy(const OrtValue* from, OrtValue* to) {
    const Ort::ConstValue source(from);
    Ort::UnownedValue target(to);
    std::memcpy(target.GetTensorMutableRawData(), source.GetTensorRawData(),
                source.GetTensorSizeInBytes());
  }

  decltype(OrtEpApi::MemoryDevice_GetVendorId) vendor = Ort::GetEpApi().MemoryDevice_GetVendorId;
};

class GpuFactory : public FactoryBase {
 public:
  GpuFactory() noexcept {
    GetName = [](const OrtEpFactory*) noexcept { return kProviderName; };
    GetVendorId = [](const OrtEpFactory*) noexcept { return kNvidia; };
    GetSupportedDevices = [](OrtEpFactory* self, const OrtHardwareDevice* const* hardware,
                             std::size_t hardware_count, OrtEpDevice** devices, std::size_t limit,
                             std::size_t* count) noexcept {
      return guarded(
          [&] { *count = as<GpuFactory>(self)->offer(hardware, hardware_count, devices, limit); });
    };
    CreateEp = [](OrtEpFactory*, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const*,
                  std::size_t, const OrtSessionOptions* session, const OrtLogger*,
                  OrtEp** provider) noexcept {
      return guarded(
          [&] { *provider = std::make_unique<Provider>(read_options(*session)).release(); });
    };
    ReleaseEp = [](OrtEpFactory*, OrtEp* provider) noexcept {
      const std::unique_ptr<Provider> released(as<Provider>(provider));
    };
    CreateAllocator = [](OrtEpFactory*, const OrtMemoryInfo* info, const OrtKeyValuePairs*,
                         OrtAllocator** allocator) noexcept {
      return guarded([&] { *allocator = std::make_unique<Allocator>(info).release(); });
    };
    ReleaseAllocator = [](OrtEpFactory*, OrtAllocator* allocator) noexcept {
      const std::unique_ptr<Allocator> released(as<Allocator>(allocator));
    };
    CreateDataTransfer = [](OrtEpFactory*, OrtDataTransferImpl** transfer) noexcept {
      return guarded([&] { *transfer = std::make_unique<Transfer>().release(); });
    };
  }

 private:
  std::size_t offer(const OrtHardwareDevice* const* hardware, std::size_t hardware_count,
                    OrtEpDevice** devices, std::size_t limit) {
    if (static_cast<OrtMemoryInfo*>(memory_) == nullptr) {
      OrtMemoryInfo* made = nullptr;
      Ort::ThrowOnError(make_memory_info(&made));
      memory_ = Ort::MemoryInfo(made);
    }
    for (std::size_t i = 0; i < hardware_count && limit > 0; ++i) {
      Ort::ConstHardwareDevice device(hardware[i]);
      if (device.Type() != OrtHardwareDeviceType_CPU) continue;
      Ort::EpDevice offered(*this, device);
      Ort::ThrowOnError(Ort::GetEpApi().EpDevice_AddAllocatorInfo(offered, memory_));
      devices[0] = offered.release();
      return 1;
    }
    return 0;
  }

  Ort::MemoryInfo memory_{nullptr};
};

}  // namespace

using LibraryFactory = GpuFactory;

}  // namespace edgesmith::test::plugin

// The functions that ONNX Runtime looks for, for LibraryFactory.
#include "exports.hpp"
