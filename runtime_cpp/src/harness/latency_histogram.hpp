/// \file
/// Percentiles of any number of latencies in memory of fixed size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace edgesmith::harness {

/// Counts in bins of which each octave has 128: a percentile is right to 0.4 %.
class LatencyHistogram {
 public:
  void add(std::int64_t latency_ns);
  void clear() { *this = LatencyHistogram{}; }

  std::uint64_t count() const { return count_; }
  std::int64_t maximum() const { return maximum_; }

  /// The middle of the bin that holds the quantile; nothing if fewer than five values lie beyond
  /// it.
  std::optional<std::int64_t> quantile(double quantile) const;

 private:
  static constexpr unsigned kSubBits = 7;
  static constexpr std::size_t kSub = std::size_t{1} << kSubBits;
  static std::size_t bin_of(std::uint64_t value);
  static std::int64_t middle_of(std::size_t bin);

  std::array<std::uint32_t, (64 - kSubBits) * kSub> counts_{};
  std::uint64_t count_ = 0;
  std::int64_t maximum_ = 0;
};

}  // namespace edgesmith::harness
