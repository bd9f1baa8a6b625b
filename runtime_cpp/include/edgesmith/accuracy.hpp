/// \file
/// Comparison of a model's outputs with labels and with reference outputs, sample by sample.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/statistics.hpp"

namespace edgesmith {

/// How one output of one sample differs from its reference. All sums are over the elements.
struct SampleError {
  double signal = 0;  ///< Sum of squares of the reference.
  double noise = 0;   ///< Sum of squares of the difference.
  double cosine = 0;  ///< 1 if both are all zero, 0 if one is.
  double max_abs_error = 0;
  bool finite = true;  ///< Every value of the output and of the reference is finite.
};

/// \param output, reference Of equal length.
SampleError compare_sample(const std::vector<double>& output, const std::vector<double>& reference);

/// Index of the largest value, the first of equal ones; -1 if there is none or one is not a number.
std::int64_t argmax(const std::vector<double>& values);

/// Whether fewer than k values are larger than, or equal to and before, that of `label`.
bool in_top(const std::vector<double>& values, std::int64_t label, std::size_t k);

/// Aggregates over samples, with intervals from a bootstrap over samples or groups of them. An
/// empty list or a value that is not finite gives no value and a reason.
Measured mean_cosine(const std::vector<SampleError>& errors, const Groups& groups = {});
Measured sqnr_db(const std::vector<SampleError>& errors, const Groups& groups = {});
Measured max_abs_error(const std::vector<SampleError>& errors, const Groups& groups = {});

/// Share of successes with Wilson's interval, or that over groups.
Measured proportion(const std::vector<bool>& hits, const Groups& groups = {});

/// Loss of a candidate against a baseline in one metric on the same samples, positive where the
/// candidate is worse.
struct PairedLoss {
  Measured loss;
  std::optional<double> mcnemar_p;  ///< For proportions of independent samples only.
};

/// Difference of two shares, with Tango's score interval.
PairedLoss paired_proportion_loss(const std::vector<bool>& baseline,
                                  const std::vector<bool>& candidate, const Groups& groups = {});

/// The interval is from a bootstrap.
/// \param metric "cosine", "sqnr_db" or "max_abs_error".
PairedLoss paired_error_loss(const std::string& metric, const std::vector<SampleError>& baseline,
                             const std::vector<SampleError>& candidate, const Groups& groups = {});

}  // namespace edgesmith
