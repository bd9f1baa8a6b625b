#include "accuracy_report.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "report_json.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

double number_from(const json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

std::vector<bool> bools_from(const json& list) {
  std::vector<bool> values;
  for (const json& value : list) values.push_back(value.get<int>() != 0);
  return values;
}

json entry(const std::string& metric, const std::string& output, std::size_t samples,
           const std::string& basis, const Measured& measured) {
  json result = measured_json(measured);
  result["metric"] = metric;
  result["output"] = output;
  result["samples"] = samples;
  result["basis"] = basis;
  result["higher_is_better"] = metric != "max_abs_error";
  return result;
}

struct ErrorMetric {
  const char* name;
  Measured (*aggregate)(const std::vector<SampleError>&, const Groups&);
  bool higher_is_better;
};

constexpr std::array<ErrorMetric, 3> kErrorMetrics{{{"cosine", &mean_cosine, true},
                                                    {"sqnr_db", &sqnr_db, true},
                                                    {"max_abs_error", &max_abs_error, false}}};

Measured measure_errors(const ErrorMetric& metric, const OutputErrors& output,
                        const Groups& groups) {
  if (!output.reason.empty()) return {{}, {}, output.reason};
  return metric.aggregate(output.errors, groups);
}

/// Says over how many groups the interval was taken.
void add_groups(json& result, const Groups& groups) {
  if (!groups.empty()) result["groups"] = group_count(groups, groups.size());
}

/// The worst over the outputs. One without a value counts only where no output has one, but an
/// output with broken values is the worst there is.
json worst(const ErrorMetric& metric, const Evaluation& evaluation) {
  const OutputErrors* chosen = nullptr;
  Measured value;
  for (const OutputErrors& output : evaluation.outputs) {
    Measured candidate = measure_errors(metric, output, evaluation.groups);
    const bool broken = std::any_of(output.errors.begin(), output.errors.end(),
                                    [](const SampleError& error) { return !error.finite; });
    const bool worse = candidate.value && value.value &&
                       (metric.higher_is_better ? *candidate.value < *value.value
                                                : *candidate.value > *value.value);
    if (chosen == nullptr || broken || worse || (candidate.value && !value.value)) {
      chosen = &output;
      value = std::move(candidate);
    }
    if (broken) break;
  }
  json result =
      measured_json(chosen == nullptr ? Measured{{}, {}, "the model has no output"} : value);
  result["samples"] = chosen == nullptr ? 0 : chosen->errors.size();
  if (chosen != nullptr) result["output"] = chosen->output;
  add_groups(result, evaluation.groups);
  return result;
}

const std::vector<bool>& hits(const std::string& metric, const Evaluation& evaluation) {
  if (metric == "top5") return evaluation.top5;
  return evaluation.top1.empty() ? evaluation.agreement : evaluation.top1;
}

}  // namespace

Evaluation evaluation_from_json(const json& document) {
  Evaluation evaluation;
  evaluation.classes = document.at("classes").get<std::int64_t>();
  evaluation.agreement = bools_from(document.at("agreement"));
  evaluation.top1 = bools_from(document.at("top1"));
  evaluation.top5 = bools_from(document.at("top5"));
  evaluation.labels_reason = document.at("labels_reason").get<std::string>();
  evaluation.groups = document.at("groups").get<Groups>();
  for (const json& output : document.at("outputs")) {
    OutputErrors errors;
    errors.output = output.at("output").get<std::string>();
    errors.reason = output.at("reason").get<std::string>();
    for (const json& row : output.at("errors")) {
      errors.errors.push_back({number_from(row.at(0)), number_from(row.at(1)),
                               number_from(row.at(2)), number_from(row.at(3)),
                               row.at(4).get<int>() != 0});
    }
    evaluation.outputs.push_back(std::move(errors));
  }
  return evaluation;
}

json accuracy_json(const Evaluation& evaluation) {
  json list = json::array();
  const std::string first = evaluation.outputs.empty() ? "" : evaluation.outputs.front().output;
  const std::vector<bool>& top1 = hits("top1", evaluation);
  if (!evaluation.labels_reason.empty()) {
    list.push_back(entry("top1", first, 0, "labels", {{}, {}, evaluation.labels_reason}));
  } else if (!top1.empty()) {
    list.push_back(entry("top1", first, top1.size(),
                         evaluation.top1.empty() ? "reference" : "labels",
                         proportion(top1, evaluation.groups)));
  }
  if (!evaluation.top5.empty()) {
    list.push_back(entry("top5", first, evaluation.top5.size(), "labels",
                         proportion(evaluation.top5, evaluation.groups)));
  }
  for (const OutputErrors& output : evaluation.outputs) {
    for (const ErrorMetric& metric : kErrorMetrics) {
      list.push_back(entry(metric.name, output.output, output.errors.size(), "reference",
                           measure_errors(metric, output, evaluation.groups)));
    }
  }
  for (json& one : list) add_groups(one, evaluation.groups);
  return list;
}

json reference_json(const Evaluation& evaluation) {
  json result = json::object();
  if (evaluation.agreement.empty()) {
    result["agreement"] = measured_json(
        {{}, {}, "the first output has no reference, or fewer than two values for a sample"});
  } else {
    result["agreement"] = measured_json(proportion(evaluation.agreement, evaluation.groups));
    result["agreement"]["output"] = evaluation.outputs.front().output;
  }
  result["agreement"]["samples"] = evaluation.agreement.size();
  add_groups(result["agreement"], evaluation.groups);
  for (const ErrorMetric& metric : kErrorMetrics) result[metric.name] = worst(metric, evaluation);
  return result;
}

bool computes(const std::string& metric) {
  return metric == "top1" || metric == "top5" ||
         std::any_of(kErrorMetrics.begin(), kErrorMetrics.end(),
                     [&](const ErrorMetric& known) { return metric == known.name; });
}

PairedLoss accuracy_loss(const std::string& metric, const Evaluation& baseline,
                         const Evaluation& candidate) {
  if (metric == "top1" || metric == "top5") {
    for (const Evaluation* one : {&baseline, &candidate}) {
      if (!one->labels_reason.empty()) return {{{}, {}, one->labels_reason}, {}};
    }
    if (hits(metric, baseline).empty() || hits(metric, candidate).empty()) {
      return {{{}, {}, metric + " needs labels or references, and enough classes"}, {}};
    }
    return paired_proportion_loss(hits(metric, baseline), hits(metric, candidate), baseline.groups);
  }
  for (const ErrorMetric& known : kErrorMetrics) {
    if (metric != known.name) continue;
    if (baseline.outputs.empty() || candidate.outputs.empty()) {
      return {{{}, {}, "the model has no output"}, {}};
    }
    return paired_error_loss(metric, baseline.outputs.front().errors,
                             candidate.outputs.front().errors, baseline.groups);
  }
  return {{{}, {}, "'" + metric + "' is not computed on the device"}, {}};
}

}  // namespace edgesmith::harness
