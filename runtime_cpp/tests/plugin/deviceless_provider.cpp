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
}  // namespace edgesmith::test::plugin

// The names are those that ONNX Runtime looks for, so the rule for ours is off.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" {

ORT_EXPORT OrtStatus* CreateEpFactories(const char* /*registered_name*/, const OrtApiBase* base,
                                        const OrtLogger* /*logger*/, OrtEpFactory** factories,
                                        std::size_t limit, std::size_t* count) {
  namespace plugin = edgesmith::test::plugin;
  return plugin::create_factory<plugin::DevicelessFactory>(*base, factories, limit, count);
}

ORT_EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* factory) {
  namespace plugin = edgesmith::test::plugin;
  return plugin::release_factory<plugin::DevicelessFactory>(factory);
}
}
// NOLINTEND(readability-identifier-naming)
