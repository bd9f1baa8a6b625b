#include "edgesmith/latency.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "binomial.hpp"

namespace edgesmith {
namespace {

constexpr double kTail = 0.025;  // Each side of a 95 % interval.
constexpr std::size_t kHistogramBins = 40;
constexpr double kOutlierDeviations = 14.826;
// Where more than half of the latencies are equal, their absolute deviation is the clock's step.
constexpr double kLeastDeviationShare = 0.001;

Percentile percentile(const ProcessLatencies& processes, const std::vector<std::int64_t>& sorted,
                      std::string name, double quantile) {
  const auto count = static_cast<double>(sorted.size());
  const auto at = [&](std::uint64_t rank) { return static_cast<double>(sorted[rank - 1]); };
  const auto rank = static_cast<std::uint64_t>(std::max(1.0, std::ceil(quantile * count)));
  Percentile result;
  result.name = std::move(name);
  const double effective = effective_count(processes, quantile, at(rank));
  result.effective_count = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(effective));
  result.samples_needed = static_cast<std::uint64_t>(
      std::ceil(static_cast<double>(samples_needed(quantile)) * count / effective));
  const auto ranks = quantile_ranks(sorted.size(), quantile, result.effective_count);
  if (!ranks) return result;
  const double value = at(rank);
  const double factor = std::exp(process_half_width(processes, quantile, value, effective));
  result.value = value;
  result.ci95 = Interval{std::min(at((*ranks)[0]), value / factor),
                         std::max(at((*ranks)[1]), value * factor)};
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

/// The median of ascending values.
double middle(const std::vector<std::int64_t>& sorted) {
  const std::size_t half = sorted.size() / 2;
  const auto upper = static_cast<double>(sorted[half]);
  if (sorted.size() % 2 == 1) return upper;
  return (static_cast<double>(sorted[half - 1]) + upper) / 2;
}

}  // namespace

LatencySummary summarize_latencies(const ProcessLatencies& processes,
                                   const std::vector<std::int64_t>& sorted) {
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
  summary.percentiles = percentiles_of(processes, sorted);
  summary.outliers = count_outliers(sorted);
  summary.histogram = histogram(sorted);
  return summary;
}

std::vector<Percentile> percentiles_of(const ProcessLatencies& processes,
                                       const std::vector<std::int64_t>& sorted) {
  return {percentile(processes, sorted, "50", 0.5), percentile(processes, sorted, "90", 0.9),
          percentile(processes, sorted, "99", 0.99), percentile(processes, sorted, "99.9", 0.999)};
}

Outliers count_outliers(const std::vector<std::int64_t>& sorted) {
  const double center = middle(sorted);
  std::vector<double> deviations;
  deviations.reserve(sorted.size());
  for (const std::int64_t value : sorted) {
    deviations.push_back(std::abs(static_cast<double>(value) - center));
  }
  const double limit =
      kOutlierDeviations * std::max(median(deviations), kLeastDeviationShare * center);
  const auto count = std::count_if(deviations.begin(), deviations.end(),
                                   [&](double deviation) { return deviation > limit; });
  return {static_cast<std::uint64_t>(count),
          static_cast<double>(count) / static_cast<double>(sorted.size())};
}

std::optional<std::array<std::uint64_t, 2>> quantile_ranks(std::uint64_t count, double quantile) {
  if (count == 0) return std::nullopt;
  const std::uint64_t low = binomial_quantile(count, quantile, kTail);
  const std::uint64_t high = binomial_quantile(count, quantile, 1 - kTail) + 1;
  if (low < 1 || high > count) return std::nullopt;
  return std::array<std::uint64_t, 2>{low, high};
}

std::optional<std::array<std::uint64_t, 2>> quantile_ranks(std::uint64_t count, double quantile,
                                                           std::uint64_t effective_count) {
  const auto ranks = quantile_ranks(effective_count, quantile);
  if (!ranks || effective_count >= count) return ranks;
  // The r-th of m values splits a distribution at r / (m + 1) on average.
  const double scale = static_cast<double>(count + 1) / static_cast<double>(effective_count + 1);
  const double low = std::floor(static_cast<double>((*ranks)[0]) * scale);
  const double high = std::ceil(static_cast<double>((*ranks)[1]) * scale);
  return std::array<std::uint64_t, 2>{static_cast<std::uint64_t>(low),
                                      std::min(count, static_cast<std::uint64_t>(high))};
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

}  // namespace edgesmith
