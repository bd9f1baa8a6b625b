/// \file
/// From where on a series of latencies is steady.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace edgesmith {

/// What a series of latencies looks like from its start.
enum class WarmupKind { kFlat, kWarmUp, kSlowDown, kNoSteadyState };

/// "flat", "warm-up", "slow-down", "no-steady-state".
std::string warmup_name(WarmupKind kind);

struct Warmup {
  WarmupKind kind = WarmupKind::kNoSteadyState;
  std::size_t iterations = 0;  ///< Values that precede the steady state.
  /// Relative change of the level over the steady part, or over the whole series if there is none;
  /// missing where the part is too short to tell.
  std::optional<double> trend;
  bool drifts = false;  ///< The trend is more than noise and large enough to matter.
};

/// Finds where a series becomes steady. Level changes are found by PELT (Killick, Fearnhead and
/// Eckley, 2012) on normal scores of the ranks, with a penalty that grows with the autocorrelation
/// of the noise. The steady part starts with the first segment from which on the level stays within
/// 3 % of that of the last half, short disturbances apart. There is none if that is later than the
/// middle, if the steady part drifts, or if the series has fewer than 8 values.
Warmup find_warmup(const std::vector<double>& series);

}  // namespace edgesmith
