/// \file
/// From what was asked for to what the runtime on this device can do.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "edgesmith/session.hpp"

namespace edgesmith::harness {

struct WantedSession {
  std::string provider;
  bool require_provider = false;
  int threads = 1;
  std::string optimization_level;
  std::map<std::string, std::string> config;
  std::optional<bool> spinning = std::nullopt;  ///< Stands before what `config` says.
  bool arena = true;
};

struct EffectiveSettings {
  SessionSettings settings;
  std::string provider;          ///< "cpu" where the wanted one is not there.
  std::optional<bool> spinning;  ///< Empty: the runtime decides.
};

/// \return kUsage for a provider that no build knows, kHarness if a required one is not in this
///         runtime, kModelOrData for an unknown optimization level.
Result<EffectiveSettings> session_settings(const WantedSession& wanted);

}  // namespace edgesmith::harness
