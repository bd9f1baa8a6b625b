/// \file
/// The functions of a factory that say: nothing special.
#pragma once

#include <cstddef>
#include <memory>

#include "api.hpp"

namespace edgesmith::test::plugin {

/// A factory for providers in host memory, without streams. Who derives adds its name, its devices
/// and its providers.
class FactoryBase : public OrtEpFactory {
 protected:
  FactoryBase() noexcept : OrtEpFactory{} {
    ort_version_supported = kApiVersion;
    GetVendor = [](const OrtEpFactory*) noexcept { return "edgesmith"; };
    GetVendorId = [](const OrtEpFactory*) noexcept { return std::uint32_t{0}; };
    GetVersion = [](const OrtEpFactory*) noexcept { return "0.1.0"; };
    CreateAllocator = [](OrtEpFactory*, const OrtMemoryInfo*, const OrtKeyValuePairs*,
                         OrtAllocator** allocator) noexcept -> OrtStatus* {
      *allocator = nullptr;
      return nullptr;
    };
    ReleaseAllocator = [](OrtEpFactory*, OrtAllocator*) noexcept {};
    CreateDataTransfer = [](OrtEpFactory*, OrtDataTransferImpl** transfer) noexcept -> OrtStatus* {
      *transfer = nullptr;
      return nullptr;
    };
    IsStreamAware = [](const OrtEpFactory*) noexcept { return false; };
    CreateSyncStreamForDevice = [](OrtEpFactory*, const OrtMemoryDevice*, const OrtKeyValuePairs*,
                                   OrtSyncStreamImpl** stream) noexcept -> OrtStatus* {
      *stream = nullptr;
      return nullptr;
    };
  }
};

/// What a library's CreateEpFactories does.
template <typename Factory>
OrtStatus* create_factory(const OrtApiBase& base, OrtEpFactory** factories, std::size_t limit,
                          std::size_t* count) noexcept {
  *count = 0;
  if (OrtStatus* failure = use_api(base)) return failure;
  return guarded([&] {
    if (limit == 0) throw Ort::Exception("there is no room for a factory", ORT_INVALID_ARGUMENT);
    factories[0] = std::make_unique<Factory>().release();
    *count = 1;
  });
}

/// What a library's ReleaseEpFactory does.
template <typename Factory>
OrtStatus* release_factory(OrtEpFactory* factory) noexcept {
  const std::unique_ptr<Factory> released(as<Factory>(factory));
  return nullptr;
}

}  // namespace edgesmith::test::plugin
