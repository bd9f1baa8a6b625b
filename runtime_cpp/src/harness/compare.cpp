#include "compare.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "accuracy_report.hpp"
#include "report_json.hpp"
#include "shown.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

std::string rounded(double value) { return formatted("%.3g", value); }

/// The variant, with its provider where the two differ in that.
std::string name_of(const RunSummary& one, const RunSummary& other) {
  if (one.provider == other.provider) return one.variant;
  return one.variant + " by " + one.provider;
}

std::string speed_words(const RunSummary& baseline, const RunSummary& candidate,
                        const Measured& speedup) {
  const std::string names =
      name_of(candidate, baseline) + " against " + name_of(baseline, candidate) + ": ";
  if (!speedup.value) return names + "no speed can be given (" + speedup.reason + ")";
  if (speedup.ci95 && speedup.ci95->low <= 1 && speedup.ci95->high >= 1) {
    return names + "no difference in speed can be shown";
  }
  return names + rounded(*speedup.value) + " times the speed";
}

std::string loss_words(const std::string& metric, const Measured& loss) {
  if (!loss.value) return "loss in " + metric + " is not known (" + loss.reason + ")";
  if (!loss.ci95) return "loss in " + metric + ": " + rounded(*loss.value);
  if (loss.ci95->low > 0) return metric + " is worse by " + rounded(*loss.value);
  if (loss.ci95->high < 0) return metric + " is better by " + rounded(-*loss.value);
  return "no loss in " + metric + " can be shown, at most " + rounded(loss.ci95->high);
}

Measured speedup_of(const RunSummary& baseline, const RunSummary& candidate) {
  for (const RunSummary* run : {&baseline, &candidate}) {
    if (run->verdict == "failed") return {{}, {}, run->variant + " failed"};
    if (run->verdict == "emulated") return {{}, {}, "times in an emulator mean nothing"};
  }
  return median_ratio(baseline.steady, candidate.steady);
}

json compare_pair(const RunSummary& baseline, const RunSummary& candidate,
                  const std::string& metric) {
  const Measured speedup = speedup_of(baseline, candidate);
  PairedLoss loss;
  if (baseline.verdict == "failed" || candidate.verdict == "failed") {
    loss.loss.reason = (baseline.verdict == "failed" ? baseline : candidate).variant + " failed";
  } else {
    loss = accuracy_loss(metric, baseline.evaluation, candidate.evaluation);
  }
  json loss_entry = measured_json(loss.loss);
  loss_entry["metric"] = metric;
  if (loss.mcnemar_p) loss_entry["mcnemar_p"] = *loss.mcnemar_p;
  const Groups& groups = baseline.evaluation.groups;
  if (!groups.empty()) loss_entry["groups"] = group_count(groups, groups.size());
  std::string advice = speed_words(baseline, candidate, speedup);
  if (computes(metric)) advice += "; " + loss_words(metric, loss.loss);
  json result = {{"baseline", baseline.key},
                 {"candidate", candidate.key},
                 {"speedup", measured_json(speedup)},
                 {"accuracy_loss", std::move(loss_entry)},
                 {"size_ratio", nullptr},
                 {"advice", std::move(advice)}};
  if (baseline.model_bytes > 0) {
    result["size_ratio"] =
        static_cast<double>(candidate.model_bytes) / static_cast<double>(baseline.model_bytes);
  }
  return result;
}

bool same_conditions(const RunSpec& a, const RunSpec& b) {
  return a.threads == b.threads && a.shapes == b.shapes && a.scenario == b.scenario;
}

/// Whether `b` is to be compared with `a`: another variant with the providers that were chosen for
/// them, or by the provider of both; or the same variant by another provider than the cpu.
bool is_pair(const RunSpec& a, const RunSpec& b, const std::string& baseline, bool by_request) {
  if (!same_conditions(a, b)) return false;
  if (a.variant == b.variant) return a.provider == "cpu" && b.provider != "cpu";
  return a.variant == baseline && (!by_request || a.provider == b.provider);
}

/// Whether any variant runs by several providers: somebody asked for that.
bool several_providers(const std::vector<Run>& runs) {
  std::map<std::string, std::set<std::string>> providers;
  for (const Run& run : runs) providers[run.spec.variant].insert(run.spec.provider);
  return std::any_of(providers.begin(), providers.end(),
                     [](const auto& entry) { return entry.second.size() > 1; });
}

}  // namespace

json compare_runs(const std::vector<Run>& runs, const std::vector<RunSummary>& summaries,
                  const std::string& metric) {
  json list = json::array();
  if (runs.empty()) return list;
  std::string baseline = runs.front().spec.variant;
  for (const Run& run : runs) {
    if (run.spec.variant == "fp32") baseline = run.spec.variant;
  }
  const bool by_request = several_providers(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (std::size_t j = 0; j < runs.size(); ++j) {
      if (i == j || !is_pair(runs[i].spec, runs[j].spec, baseline, by_request)) continue;
      list.push_back(compare_pair(summaries[i], summaries[j], metric));
    }
  }
  return list;
}

}  // namespace edgesmith::harness
