#include "change_points.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "edgesmith/latency.hpp"

namespace edgesmith {
namespace {

// Longer series are looked at as medians of blocks, at most about so many.
constexpr std::size_t kReducedValues = 2000;
// PELT's time grows with the square of the places where a change may be, as long as there is none.
constexpr std::size_t kGridPositions = 500;
// Times log(n) and the long-run variance; chosen by simulation, see the tests.
constexpr double kPenalty = 3;
constexpr double kLargestAutocorrelation = 0.95;

/// Inverse of the standard normal distribution for p up to a half (Acklam's rational approximation,
/// 1e-9).
double lower_normal_quantile(double p) {
  constexpr double kLow = 0.02425;
  if (p < kLow) {
    const double q = std::sqrt(-2 * std::log(p));
    return (((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838e+00) *
                  q -
              2.549732539343734e+00) *
                 q +
             4.374664141464968e+00) *
                q +
            2.938163982698783e+00) /
           ((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e+00) * q +
             3.754408661907416e+00) *
                q +
            1);
  }
  const double q = p - 0.5;
  const double r = q * q;
  return (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
            1.383577518672690e+02) *
               r -
           3.066479806614716e+01) *
              r +
          2.506628277459239e+00) *
         q /
         (((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
            6.680131188771972e+01) *
               r -
           1.328068155288572e+01) *
              r +
          1);
}

double normal_quantile(double p) {
  return p > 0.5 ? -lower_normal_quantile(1 - p) : lower_normal_quantile(p);
}

/// Medians of blocks of `size` values; the last block takes what is left over.
std::vector<double> block_medians(const std::vector<double>& series, std::size_t size) {
  std::vector<double> medians;
  const std::size_t blocks = std::max<std::size_t>(1, series.size() / size);
  medians.reserve(blocks);
  for (std::size_t block = 0; block < blocks; ++block) {
    const auto from = series.begin() + static_cast<std::ptrdiff_t>(block * size);
    const auto to = block + 1 == blocks ? series.end() : from + static_cast<std::ptrdiff_t>(size);
    medians.push_back(median({from, to}));
  }
  return medians;
}

/// The split of [from, to) with the least squared deviations, on ranks.
std::size_t best_split(const std::vector<double>& series, std::size_t from, std::size_t to) {
  const auto begin = series.begin();
  const std::vector<double> scores = normal_scores(
      {begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to)});
  const auto count = static_cast<double>(scores.size());
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / count;
  double sum = 0;
  double best_gain = -1;
  std::size_t best = 1;
  for (std::size_t i = 1; i < scores.size(); ++i) {
    sum += scores[i - 1] - mean;
    const auto left = static_cast<double>(i);
    const double gain = sum * sum / (left * (count - left));
    if (gain > best_gain) {
      best_gain = gain;
      best = i;
    }
  }
  return from + best;
}

}  // namespace

std::vector<double> normal_scores(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> scores(values.size());
  const double count = static_cast<double>(values.size()) + 0.25;
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first;
    while (last + 1 < order.size() && values[order[last + 1]] == values[order[first]]) ++last;
    const double rank = static_cast<double>(first + last) / 2 + 1;
    const double score = normal_quantile((rank - 0.375) / count);
    for (std::size_t i = first; i <= last; ++i) scores[order[i]] = score;
    first = last + 1;
  }
  return scores;
}

double long_run_variance(const std::vector<double>& values) {
  const auto mean_square = [&](std::size_t lag) {
    double sum = 0;
    for (std::size_t i = lag; i < values.size(); ++i) {
      sum += (values[i] - values[i - lag]) * (values[i] - values[i - lag]);
    }
    return sum / static_cast<double>(values.size() - lag);
  };
  const double first = mean_square(1);  // 2 variance (1 - phi)
  if (first == 0) return 0;
  // The differences over two steps: 2 variance (1 - phi^2).
  const double phi = std::clamp(mean_square(2) / first - 1, 0.0, kLargestAutocorrelation);
  return first / 2 * (1 + phi) / ((1 - phi) * (1 - phi));
}

std::vector<std::size_t> pelt(const std::vector<double>& values, std::size_t grid, double penalty) {
  // Costs leave out the sum of squares, which is the same for all segmentations.
  struct Candidate {
    std::size_t start;
    double sum_before;
    double best;   ///< Cost of the best segmentation up to the start.
    double total;  ///< The same with a segment from there to the end looked at.
  };
  const std::size_t count = values.size();
  std::vector<double> inverse(count + 1, 0);
  for (std::size_t length = 1; length <= count; ++length) {
    inverse[length] = 1 / static_cast<double>(length);
  }
  std::vector<Candidate> candidates{{0, 0, -penalty, 0}};
  std::vector<std::size_t> previous(count + 1, 0);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += values[i];
    const std::size_t end = i + 1;
    if (end % grid != 0 && end != count) continue;
    const Candidate* chosen = nullptr;
    for (Candidate& candidate : candidates) {
      const double own = sum - candidate.sum_before;
      candidate.total = candidate.best - own * own * inverse[end - candidate.start];
      if (chosen == nullptr || candidate.total < chosen->total) chosen = &candidate;
    }
    previous[end] = chosen->start;
    const double best = chosen->total + penalty;
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(),
                                    [&](const Candidate& one) { return one.total > best; }),
                     candidates.end());
    candidates.push_back({end, sum, best, 0});
  }
  std::vector<std::size_t> changes;
  for (std::size_t end = previous[count]; end > 0; end = previous[end]) changes.push_back(end);
  std::reverse(changes.begin(), changes.end());
  return changes;
}

std::vector<std::size_t> find_change_points(const std::vector<double>& series) {
  const std::size_t size = (series.size() + kReducedValues - 1) / kReducedValues;
  const std::vector<double> scores = normal_scores(block_medians(series, size));
  const double variance = long_run_variance(scores);
  if (variance == 0) return {};
  const double penalty = kPenalty * std::log(static_cast<double>(scores.size())) * variance;
  const std::size_t grid = (scores.size() + kGridPositions - 1) / kGridPositions;
  std::vector<std::size_t> changes = pelt(scores, grid, penalty);
  for (std::size_t& change : changes) change *= size;
  const std::size_t step = grid * size;
  if (step == 1) return changes;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const std::size_t before = i == 0 ? 0 : changes[i - 1];
    const std::size_t after = i + 1 == changes.size() ? series.size() : changes[i + 1];
    // Two steps to each side hold the change and some of both levels.
    const std::size_t from = changes[i] - std::min(changes[i] - before, 2 * step);
    changes[i] = best_split(series, from, std::min(after, changes[i] + 2 * step));
  }
  return changes;
}

}  // namespace edgesmith
