/// \file
/// Which execution providers a run is to use, and how they are set up.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bundle.hpp"
#include "edgesmith/providers.hpp"
#include "edgesmith/session.hpp"
#include "options.hpp"

namespace edgesmith::harness {

/// The provider of this name with its helpers for a variant, set up as the bundle and the options
/// say.
/// \return kUsage for a name that neither the runtime nor the bundle knows, kIntegrity for a
///         plugin of the bundle whose library is not the manifest's.
Result<std::vector<ProviderSettings>> chosen_providers(const Bundle& bundle, const Options& options,
                                                       const Variant& variant,
                                                       const std::string& name);

/// One line for a provider that is not used.
std::string fallback_words(const ProviderFallback& fallback, const std::string& used);

/// The providers that a session does not use, for reports.
nlohmann::json fallbacks_json(const Session& session);

/// Says it where engines that were kept could not be used.
void say_engines(const EngineCacheUse& engines);

}  // namespace edgesmith::harness
