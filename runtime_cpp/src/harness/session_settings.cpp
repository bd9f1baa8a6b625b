#include "session_settings.hpp"

namespace edgesmith::harness {
namespace {

constexpr const char* kSpinningEntry = "session.intra_op.allow_spinning";

}  // namespace

Result<SessionSettings> session_settings(const WantedSession& wanted) {
  const auto level = optimization_level_from_name(wanted.optimization_level);
  if (!level) {
    return Error{ErrorCode::kModelOrData,
                 "graph_optimization_level '" + wanted.optimization_level + "' is not known"};
  }
  SessionSettings settings;
  settings.threads = wanted.threads;
  settings.providers = wanted.providers;
  settings.require_provider = wanted.require_provider;
  settings.optimization_level = *level;
  settings.config = wanted.config;
  settings.arena = wanted.arena;
  settings.engine_cache = wanted.engine_cache;
  if (wanted.spinning) settings.config[kSpinningEntry] = *wanted.spinning ? "1" : "0";
  return settings;
}

std::optional<bool> spinning_of(const SessionSettings& settings) {
  const auto spinning = settings.config.find(kSpinningEntry);
  if (spinning == settings.config.end()) return std::nullopt;
  return spinning->second == "1";
}

}  // namespace edgesmith::harness
