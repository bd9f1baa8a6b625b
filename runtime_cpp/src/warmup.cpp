#include "edgesmith/warmup.hpp"

#include <algorithm>
#include <cmath>

#include "change_points.hpp"
#include "edgesmith/latency.hpp"

namespace edgesmith {
namespace {

constexpr std::size_t kLeastValues = 8;
// Differences below 3 % are what layout and timers cause in a steady program.
constexpr double kTolerance = 0.03;
// Up to this share of the steady part may be disturbances, wherever one looks from its start.
constexpr double kDisturbedShare = 0.10;
constexpr std::size_t kTrendBatches = 20;
constexpr double kTrendScore = 2.575829303548901;  // Two-sided 1 % of the normal distribution.

struct Segment {
  std::size_t from;
  std::size_t to;
  double level;  ///< Median.
};

struct Trend {
  double change = 0;
  bool significant = false;
};

double median_of(const std::vector<double>& series, std::size_t from, std::size_t to) {
  return median({series.begin() + static_cast<std::ptrdiff_t>(from),
                 series.begin() + static_cast<std::ptrdiff_t>(to)});
}

std::vector<Segment> segments_of(const std::vector<double>& series) {
  std::vector<std::size_t> ends = find_change_points(series);
  ends.push_back(series.size());
  std::vector<Segment> segments;
  std::size_t from = 0;
  for (const std::size_t to : ends) {
    segments.push_back({from, to, median_of(series, from, to)});
    from = to;
  }
  return segments;
}

/// Whether the level holds from a segment on. Disturbances pass as long as they are few at every
/// point, so that a slow start behind a few fast values is none.
bool holds_from(const std::vector<Segment>& segments, std::size_t first, double level) {
  std::size_t disturbed = 0;
  for (std::size_t i = first; i < segments.size(); ++i) {
    if (std::abs(segments[i].level - level) <= kTolerance * level) continue;
    if (i == first) return false;
    disturbed += segments[i].to - segments[i].from;
    const std::size_t length = segments[i].to - segments[first].from;
    if (static_cast<double>(disturbed) > kDisturbedShare * static_cast<double>(length))
      return false;
  }
  return true;
}

/// Theil and Sen's slope of batch medians, and Mann and Kendall's test with the variance that
/// the residuals' autocorrelation makes of it.
std::optional<Trend> trend_of(const std::vector<double>& series, std::size_t from) {
  const std::size_t count = series.size() - from;
  const std::size_t batches = std::min(kTrendBatches, count);
  if (batches < kLeastValues) return std::nullopt;
  std::vector<double> levels;
  levels.reserve(batches);
  for (std::size_t i = 0; i < batches; ++i) {
    levels.push_back(
        median_of(series, from + i * count / batches, from + (i + 1) * count / batches));
  }
  std::vector<double> slopes;
  double score = 0;
  for (std::size_t i = 0; i < batches; ++i) {
    for (std::size_t j = i + 1; j < batches; ++j) {
      slopes.push_back((levels[j] - levels[i]) / static_cast<double>(j - i));
      if (levels[j] > levels[i]) score += 1;
      if (levels[j] < levels[i]) score -= 1;
    }
  }
  const double slope = median(slopes);
  std::vector<double> residuals = levels;
  for (std::size_t i = 0; i < batches; ++i) residuals[i] -= slope * static_cast<double>(i);
  const double level = median(levels);
  const double center = median(residuals);
  double products = 0;
  double squares = 0;
  for (std::size_t i = 0; i < batches; ++i) {
    const double own = residuals[i] - center;
    squares += own * own;
    if (i > 0) products += own * (residuals[i - 1] - center);
  }
  const auto n = static_cast<double>(batches);
  // The estimate from few values is too low by about (1 + 4 phi) / n.
  const double found = squares > 0 ? products / squares : 0;
  const double phi = std::clamp((n * found + 1) / (n - 4), 0.0, 0.9);
  const double variance = n * (n - 1) * (2 * n + 5) / 18 * (1 + phi) / (1 - phi);
  Trend trend;
  trend.change = level > 0 ? slope * n / level : 0;
  trend.significant = std::abs(score) - 1 > kTrendScore * std::sqrt(variance);
  return trend;
}

}  // namespace

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

Warmup find_warmup(const std::vector<double>& series) {
  Warmup warmup;
  if (series.size() < kLeastValues) return warmup;
  const std::size_t half = series.size() / 2;
  const double level = median_of(series, half, series.size());
  const std::vector<Segment> segments = segments_of(series);
  std::size_t first = 0;
  while (first < segments.size() && !holds_from(segments, first, level)) ++first;
  const bool steady = first < segments.size() && segments[first].from <= half;
  const std::size_t start = steady ? segments[first].from : 0;
  const std::optional<Trend> trend = trend_of(series, start);
  if (trend) {
    warmup.trend = trend->change;
    warmup.drifts = trend->significant && std::abs(trend->change) > kTolerance;
  }
  if (!steady || warmup.drifts) return warmup;
  warmup.iterations = start;
  warmup.kind = WarmupKind::kFlat;
  if (start == 0) return warmup;
  const bool slower = median_of(series, 0, start) > level;
  warmup.kind = slower ? WarmupKind::kWarmUp : WarmupKind::kSlowDown;
  return warmup;
}

}  // namespace edgesmith
