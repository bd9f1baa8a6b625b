#include "latency_histogram.hpp"

#include <algorithm>
#include <cmath>

namespace edgesmith::harness {

std::size_t LatencyHistogram::bin_of(std::uint64_t value) {
  if (value < kSub) return static_cast<std::size_t>(value);
  const unsigned octave = 63U - static_cast<unsigned>(__builtin_clzll(value)) - kSubBits;
  const auto within = static_cast<std::size_t>(value >> octave) - kSub;
  return (octave + std::size_t{1}) * kSub + within;
}

std::int64_t LatencyHistogram::middle_of(std::size_t bin) {
  if (bin < kSub) return static_cast<std::int64_t>(bin);
  const auto octave = static_cast<unsigned>(bin / kSub) - 1;
  const std::uint64_t low = static_cast<std::uint64_t>(bin % kSub + kSub) << octave;
  return static_cast<std::int64_t>(low + ((std::uint64_t{1} << octave) - 1) / 2);
}

void LatencyHistogram::add(std::int64_t latency_ns) {
  ++counts_[bin_of(static_cast<std::uint64_t>(std::max<std::int64_t>(0, latency_ns)))];
  ++count_;
  maximum_ = std::max(maximum_, latency_ns);
}

std::optional<std::int64_t> LatencyHistogram::quantile(double quantile) const {
  constexpr double kLeastBeyond = 5;
  const auto count = static_cast<double>(count_);
  if (count * std::min(quantile, 1 - quantile) < kLeastBeyond) return std::nullopt;
  const auto rank = static_cast<std::uint64_t>(std::ceil(quantile * count));
  std::uint64_t seen = 0;
  for (std::size_t bin = 0; bin < counts_.size(); ++bin) {
    seen += counts_[bin];
    if (seen >= rank) return middle_of(bin);
  }
  return maximum_;
}

}  // namespace edgesmith::harness
