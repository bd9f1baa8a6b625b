#include "edgesmith/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace edgesmith {
namespace {

constexpr double kTail = 0.025;  // Each side of a 95 % interval.
constexpr std::size_t kHistogramBins = 40;

double log_binomial(std::uint64_t k, std::uint64_t n, double p) {
  const auto kd = static_cast<double>(k);
  const auto nd = static_cast<double>(n);
  return std::lgamma(nd + 1) - std::lgamma(kd + 1) - std::lgamma(nd - kd + 1) + kd * std::log(p) +
         (nd - kd) * std::log1p(-p);
}

/// The smallest k with P(B <= k) >= probability. Terms further than 12 standard deviations below
/// the mean are under 1e-32 and left out.
std::uint64_t binomial_quantile(std::uint64_t n, double p, double probability) {
  const double mean = static_cast<double>(n) * p;
  const double first = mean - 12 * std::sqrt(mean * (1 - p)) - 40;
  std::uint64_t k = first > 0 ? static_cast<std::uint64_t>(first) : 0;
  double cumulative = 0;
  for (; k < n; ++k) {
    cumulative += std::exp(log_binomial(k, n, p));
    if (cumulative >= probability) return k;
  }
  return n;
}

Percentile percentile(const std::vector<std::int64_t>& sorted, std::string name, double quantile) {
  Percentile result;
  result.name = std::move(name);
  result.samples_needed = samples_needed(quantile);
  const auto ranks = quantile_ranks(sorted.size(), quantile);
  if (!ranks) return result;
  const double position = std::ceil(quantile * static_cast<double>(sorted.size()));
  const auto at = [&](std::uint64_t rank) { return static_cast<double>(sorted[rank - 1]); };
  result.value = at(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(position)));
  result.ci95 = Interval{at((*ranks)[0]), at((*ranks)[1])};
  return result;
}

Histogram histogram(const std::vector<std::int64_t>& sorted) {
  const double low = static_cast<double>(std::max<std::int64_t>(1, sorted.front()));
  const double high = static_cast<double>(std::max<std::int64_t>(1, sorted.back()));
  Histogram result;
  if (low >= high) return {{low, low + 1}, {sorted.size()}};
  const double step = std::log(high / low) / static_cast<double>(kHistogramBins);
  for (std::size_t i = 0; i < kHistogramBins; ++i) {
    result.edges.push_back(low * std::exp(step * static_cast<double>(i)));
  }
  result.edges.push_back(high);
  result.counts.assign(kHistogramBins, 0);
  for (const std::int64_t value : sorted) {
    const double bin = std::log(std::max(1.0, static_cast<double>(value)) / low) / step;
    result.counts[std::min(kHistogramBins - 1, static_cast<std::size_t>(std::max(0.0, bin)))] += 1;
  }
  return result;
}

}  // namespace

LatencySummary summarize_latencies(const std::vector<std::int64_t>& sorted) {
  LatencySummary summary;
  summary.count = sorted.size();
  const auto count = static_cast<double>(sorted.size());
  summary.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / count;
  double squares = 0;
  for (const std::int64_t value : sorted) {
    const double difference = static_cast<double>(value) - summary.mean;
    squares += difference * difference;
  }
  if (sorted.size() > 1) summary.stddev = std::sqrt(squares / (count - 1));
  summary.minimum = static_cast<double>(sorted.front());
  summary.maximum = static_cast<double>(sorted.back());
  summary.percentiles = {percentile(sorted, "50", 0.5), percentile(sorted, "90", 0.9),
                         percentile(sorted, "99", 0.99), percentile(sorted, "99.9", 0.999)};
  summary.histogram = histogram(sorted);
  return summary;
}

std::optional<std::array<std::uint64_t, 2>> quantile_ranks(std::uint64_t count, double quantile) {
  if (count == 0) return std::nullopt;
  const std::uint64_t low = binomial_quantile(count, quantile, kTail);
  const std::uint64_t high = binomial_quantile(count, quantile, 1 - kTail) + 1;
  if (low < 1 || high > count) return std::nullopt;
  return std::array<std::uint64_t, 2>{low, high};
}

std::uint64_t samples_needed(double quantile) {
  const double rarer_side = std::max(quantile, 1 - quantile);
  return static_cast<std::uint64_t>(std::ceil(std::log(kTail) / std::log(rarer_side)));
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

double mcnemar_exact_p(std::uint64_t only_first, std::uint64_t only_second) {
  const std::uint64_t discordant = only_first + only_second;
  if (discordant == 0) return 1.0;
  double tail = 0;
  for (std::uint64_t k = 0; k <= std::min(only_first, only_second); ++k) {
    tail += std::exp(log_binomial(k, discordant, 0.5));
  }
  return std::min(1.0, 2 * tail);
}

std::string warmup_name(WarmupKind kind) {
  switch (kind) {
    case WarmupKind::kFlat:
      return "flat";
    case WarmupKind::kWarmUp:
      return "warm-up";
    case WarmupKind::kSlowDown:
      return "slow-down";
    case WarmupKind::kNoSteadyState:
      return "no-steady-state";
  }
  return "no-steady-state";
}

Warmup find_warmup(const std::vector<double>& blocks) {
  constexpr std::size_t kLeastBlocks = 8;
  // Differences below 3 % are what layout and timers cause in a steady program.
  constexpr double kRelativeTolerance = 0.03;
  if (blocks.size() < kLeastBlocks) return {WarmupKind::kNoSteadyState, 0};
  const auto slice = [&](std::size_t from, std::size_t to) {
    return std::vector<double>(blocks.begin() + static_cast<std::ptrdiff_t>(from),
                               blocks.begin() + static_cast<std::ptrdiff_t>(to));
  };
  const std::size_t half = blocks.size() / 2;
  const std::vector<double> last_half = slice(half, blocks.size());
  const double level = median(last_half);
  std::vector<double> deviations;
  deviations.reserve(last_half.size());
  for (const double value : last_half) deviations.push_back(std::abs(value - level));
  const double spread = 1.4826 * median(deviations);  // MAD to standard deviation.
  const std::size_t quarter = half + (blocks.size() - half) / 2;
  const double drift =
      std::abs(median(slice(quarter, blocks.size())) - median(slice(half, quarter)));
  const double drift_tolerance = std::max(2 * kRelativeTolerance * level, spread);
  if (drift > drift_tolerance) return {WarmupKind::kNoSteadyState, 0};
  const std::size_t window = std::max<std::size_t>(3, blocks.size() / 16);
  const double tolerance = std::max(kRelativeTolerance * level, 2 * spread);
  for (std::size_t start = 0; start <= half; ++start) {
    const std::size_t end = std::min(blocks.size(), start + window);
    // The first block of the window must agree too: a window's median alone would let up to half
    // of a window of warm-up pass as steady.
    if (std::abs(blocks[start] - level) > tolerance) continue;
    if (std::abs(median(slice(start, end)) - level) > tolerance) continue;
    if (start == 0) return {WarmupKind::kFlat, 0};
    const bool slower = median(slice(0, start)) > level;
    return {slower ? WarmupKind::kWarmUp : WarmupKind::kSlowDown, start};
  }
  return {WarmupKind::kNoSteadyState, 0};
}

}  // namespace edgesmith
