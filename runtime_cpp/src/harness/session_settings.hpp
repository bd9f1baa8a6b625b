/// \file
/// From what was asked for to the settings of a session.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/session.hpp"

namespace edgesmith::harness {

struct WantedSession {
  std::vector<ProviderSettings> providers;
  bool require_provider = false;
  int threads = 1;
  std::string optimization_level;
  std::map<std::string, std::string> config;
  std::optional<bool> spinning = std::nullopt;  ///< Stands before what `config` says.
  bool arena = true;
  std::string engine_cache;
};

/// \return kModelOrData for an unknown optimization level.
Result<SessionSettings> session_settings(const WantedSession& wanted);

/// Whether idle threads wait actively; empty: the runtime decides.
std::optional<bool> spinning_of(const SessionSettings& settings);

}  // namespace edgesmith::harness
