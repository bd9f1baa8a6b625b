// A provider's library that finds no device on any machine, as one for absent hardware does.
#include <cstddef>

#include "factory_base.hpp"

namespace edgesmith::test::plugin {
namespace {

class DevicelessFactory : public FactoryBase {
 public:
  DevicelessFactory() noexcept {
    GetName = [](const OrtEpFactory*) noexcept { return "DevicelessExecutionProvider"; };
    GetSupportedDevices = [](OrtEpFactory*, const OrtHardwareDevice* const*, std::size_t,
                             OrtEpDevice**, std::size_t,
                             std::size_t* count) noexcept -> OrtStatus* {
      *count = 0;
      return nullptr;
    };
    CreateEp = [](OrtEpFactory*, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const*,
                  std::size_t, const OrtSessionOptions*, const OrtLogger*,
                  OrtEp** provider) noexcept -> OrtStatus* {
      *provider = nullptr;
      return Ort::Status("DevicelessExecutionProvider has no device", ORT_EP_FAIL).release();
    };
    ReleaseEp = [](OrtEpFactory*, OrtEp*) noexcept {};
  }
};

}  // namespace

using LibraryFactory = DevicelessFactory;

}  // namespace edgesmith::test::plugin

// The functions that ONNX Runtime looks for, for LibraryFactory.
#include "exports.hpp"
