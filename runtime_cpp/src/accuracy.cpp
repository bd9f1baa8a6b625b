#include "edgesmith/accuracy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace edgesmith {
namespace {

using Errors = std::vector<SampleError>;
using Indices = std::vector<std::size_t>;
using Aggregate = double (*)(const Errors&, const Indices&);

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

double cosine_of(const Errors& errors, const Indices& indices) {
  double sum = 0;
  for (const std::size_t i : indices) sum += errors[i].cosine;
  return sum / static_cast<double>(indices.size());
}

double sqnr_of(const Errors& errors, const Indices& indices) {
  double signal = 0;
  double noise = 0;
  for (const std::size_t i : indices) {
    signal += errors[i].signal;
    noise += errors[i].noise;
  }
  return signal > 0 ? 10 * std::log10(signal / noise) : kNotANumber;
}

double maximum_of(const Errors& errors, const Indices& indices) {
  double maximum = 0;
  for (const std::size_t i : indices) maximum = std::max(maximum, errors[i].max_abs_error);
  return maximum;
}

Indices all_of(std::size_t count) {
  Indices indices(count);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return indices;
}

std::string why_not_finite(const Errors& errors, Aggregate aggregate) {
  if (aggregate == &sqnr_of) {
    const bool exact = std::all_of(errors.begin(), errors.end(),
                                   [](const SampleError& error) { return error.noise == 0; });
    if (exact) return "the outputs equal the reference: there is no noise to divide by";
    return "the reference outputs are all zero";
  }
  return "the value is not finite";
}

std::string why_unusable(const Errors& errors) {
  if (errors.empty()) return "no sample was compared";
  const auto broken = std::count_if(errors.begin(), errors.end(),
                                    [](const SampleError& error) { return !error.finite; });
  if (broken == 0) return {};
  return std::to_string(broken) + " of " + std::to_string(errors.size()) +
         " samples have values that are not finite, in the output or its reference";
}

Measured with_interval(double value, std::optional<Interval> interval, const Groups& groups) {
  if (interval) return {value, interval, {}};
  if (!groups.empty() && group_count(groups, groups.size()) < 2) {
    return {value, {}, "all samples are of one group"};
  }
  return {value, {}, "resampling gives one value each time, which shows no spread"};
}

Measured aggregated(const Errors& errors, const Groups& groups, Aggregate aggregate) {
  if (std::string why = why_unusable(errors); !why.empty()) return {{}, {}, why};
  const double value = aggregate(errors, all_of(errors.size()));
  if (!std::isfinite(value)) return {{}, {}, why_not_finite(errors, aggregate)};
  const auto statistic = [&](const Indices& indices) { return aggregate(errors, indices); };
  return with_interval(value, bootstrap_interval(errors.size(), groups, statistic), groups);
}

}  // namespace

SampleError compare_sample(const std::vector<double>& output,
                           const std::vector<double>& reference) {
  SampleError error;
  double product = 0;
  double output_squares = 0;
  for (std::size_t i = 0; i < output.size(); ++i) {
    const double difference = output[i] - reference[i];
    error.finite = error.finite && std::isfinite(output[i]) && std::isfinite(reference[i]);
    error.signal += reference[i] * reference[i];
    error.noise += difference * difference;
    error.max_abs_error = std::max(error.max_abs_error, std::abs(difference));
    product += output[i] * reference[i];
    output_squares += output[i] * output[i];
  }
  if (error.signal == 0 || output_squares == 0) {
    error.cosine = error.signal == output_squares ? 1 : 0;
  } else {
    error.cosine = std::min(1.0, product / std::sqrt(error.signal * output_squares));
  }
  return error;
}

std::int64_t argmax(const std::vector<double>& values) {
  std::int64_t best = -1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return -1;
    if (best < 0 || values[i] > values[static_cast<std::size_t>(best)]) {
      best = static_cast<std::int64_t>(i);
    }
  }
  return best;
}

bool in_top(const std::vector<double>& values, std::int64_t label, std::size_t k) {
  if (label < 0 || static_cast<std::size_t>(label) >= values.size()) return false;
  const auto position = static_cast<std::size_t>(label);
  std::size_t before = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return false;
    const bool tied_before = values[i] == values[position] && i < position;
    if (values[i] > values[position] || tied_before) ++before;
  }
  return before < k;
}

Measured mean_cosine(const Errors& errors, const Groups& groups) {
  return aggregated(errors, groups, &cosine_of);
}

Measured sqnr_db(const Errors& errors, const Groups& groups) {
  return aggregated(errors, groups, &sqnr_of);
}

Measured max_abs_error(const Errors& errors, const Groups& groups) {
  return aggregated(errors, groups, &maximum_of);
}

Measured proportion(const std::vector<bool>& hits, const Groups& groups) {
  if (hits.empty()) return {{}, {}, "no sample was compared"};
  const auto successes = static_cast<std::uint64_t>(std::count(hits.begin(), hits.end(), true));
  const double share = static_cast<double>(successes) / static_cast<double>(hits.size());
  if (groups.empty()) return {share, wilson_interval(successes, hits.size()), {}};
  if (group_count(groups, hits.size()) < 2) return with_interval(share, {}, groups);
  return {share, grouped_proportion_interval(hits, groups), {}};
}

PairedLoss paired_proportion_loss(const std::vector<bool>& baseline,
                                  const std::vector<bool>& candidate, const Groups& groups) {
  if (baseline.size() != candidate.size() || baseline.empty()) {
    return {{{}, {}, "the two runs compared different numbers of samples"}, {}};
  }
  std::uint64_t only_baseline = 0;
  std::uint64_t only_candidate = 0;
  for (std::size_t i = 0; i < baseline.size(); ++i) {
    if (baseline[i] && !candidate[i]) ++only_baseline;
    if (!baseline[i] && candidate[i]) ++only_candidate;
  }
  const double value = (static_cast<double>(only_baseline) - static_cast<double>(only_candidate)) /
                       static_cast<double>(baseline.size());
  std::optional<Interval> interval;
  if (groups.empty() || group_count(groups, groups.size()) > 1) {
    interval = paired_difference_interval(baseline, candidate, groups);
  }
  PairedLoss result;
  result.loss = with_interval(value, interval, groups);
  if (groups.empty()) result.mcnemar_p = mcnemar_exact_p(only_baseline, only_candidate);
  return result;
}

PairedLoss paired_error_loss(const std::string& metric, const Errors& baseline,
                             const Errors& candidate, const Groups& groups) {
  Aggregate aggregate = metric == "cosine" ? &cosine_of : &sqnr_of;
  double sign = 1;
  if (metric == "max_abs_error") {
    aggregate = &maximum_of;
    sign = -1;
  }
  for (const Errors* errors : {&baseline, &candidate}) {
    if (std::string why = why_unusable(*errors); !why.empty()) return {{{}, {}, why}, {}};
  }
  if (baseline.size() != candidate.size()) {
    return {{{}, {}, "the two runs compared different numbers of samples"}, {}};
  }
  const auto loss = [&](const Indices& indices) {
    return sign * (aggregate(baseline, indices) - aggregate(candidate, indices));
  };
  const double value = loss(all_of(baseline.size()));
  if (!std::isfinite(value)) {
    const bool baseline_exact = !std::isfinite(aggregate(baseline, all_of(baseline.size())));
    return {{{}, {}, why_not_finite(baseline_exact ? baseline : candidate, aggregate)}, {}};
  }
  return {with_interval(value, bootstrap_interval(baseline.size(), groups, loss), groups), {}};
}

}  // namespace edgesmith
