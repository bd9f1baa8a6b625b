#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "factory_base.hpp"
#include "provider.hpp"

namespace edgesmith::test::plugin {
namespace {

class SampleFactory : public FactoryBase {
 public:
  SampleFactory() noexcept {
    GetName = [](const OrtEpFactory*) noexcept { return kProviderName; };
    GetSupportedDevices = [](OrtEpFactory* self, const OrtHardwareDevice* const* hardware,
                             std::size_t hardware_count, OrtEpDevice** devices, std::size_t limit,
                             std::size_t* count) noexcept {
      return guarded([&] { *count = offer(*self, hardware, hardware_count, devices, limit); });
    };
    CreateEp = [](OrtEpFactory*, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const*,
                  std::size_t, const OrtSessionOptions* session, const OrtLogger*,
                  OrtEp** provider) noexcept {
      return guarded([&] { *provider = create(*session); });
    };
    ReleaseEp = [](OrtEpFactory*, OrtEp* provider) noexcept {
      const std::unique_ptr<Provider> released(as<Provider>(provider));
    };
  }

 private:
  static std::size_t offer(OrtEpFactory& self, const OrtHardwareDevice* const* hardware,
                           std::size_t hardware_count, OrtEpDevice** devices, std::size_t limit) {
    for (std::size_t i = 0; i < hardware_count && limit > 0; ++i) {
      Ort::ConstHardwareDevice device(hardware[i]);
      if (device.Type() != OrtHardwareDeviceType_CPU) continue;
      Ort::KeyValuePairs metadata;
      metadata.Add("sample_device", "one");
      devices[0] = Ort::EpDevice(self, device, metadata.GetConst()).release();
      return 1;
    }
    return 0;
  }

  static OrtEp* create(const OrtSessionOptions& session) {
    Options options = read_options(session);
    if (options.fail == Failure::kLoad) {
      throw Ort::Exception(std::string(kProviderName) + " fails to load, as its option fail says",
                           ORT_EP_FAIL);
    }
    return std::make_unique<Provider>(std::move(options)).release();
  }
};

}  // namespace

using LibraryFactory = SampleFactory;

}  // namespace edgesmith::test::plugin

// The functions that ONNX Runtime looks for, for LibraryFactory.
#include "exports.hpp"
