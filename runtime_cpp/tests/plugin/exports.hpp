/// \file
/// What a plugin's library exports. Included once, at the end of the source that names its
/// LibraryFactory.
#pragma once

#include "factory_base.hpp"

// The names are those that ONNX Runtime looks for, so the rule for ours is off. A library includes
// this once, so the functions may be defined here.
// NOLINTBEGIN(readability-identifier-naming, misc-definitions-in-headers)
extern "C" {

ORT_EXPORT OrtStatus* CreateEpFactories(const char* /*registered_name*/, const OrtApiBase* base,
                                        const OrtLogger* /*logger*/, OrtEpFactory** factories,
                                        std::size_t limit, std::size_t* count) {
  namespace plugin = edgesmith::test::plugin;
  return plugin::create_factory<plugin::LibraryFactory>(*base, factories, limit, count);
}

ORT_EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* factory) {
  namespace plugin = edgesmith::test::plugin;
  return plugin::release_factory<plugin::LibraryFactory>(factory);
}
}
// NOLINTEND(readability-identifier-naming, misc-definitions-in-headers)
