#include <algorithm>
#include <cmath>
#include <map>

#include "edgesmith/statistics.hpp"
#include "random.hpp"

namespace edgesmith {
namespace {

constexpr std::uint64_t kSeed = 20250101;
constexpr int kReplicates = 1000;
// Keeps the largest comparison under two seconds on a small board.
constexpr std::size_t kThinnedSamples = 512;

std::optional<Interval> percentile_interval(std::vector<double> replicates) {
  if (replicates.size() < kReplicates / 2) return std::nullopt;
  std::sort(replicates.begin(), replicates.end());
  const auto at = [&](double share) {
    const double position = share * static_cast<double>(replicates.size() - 1);
    return replicates[static_cast<std::size_t>(std::lround(position))];
  };
  return Interval{at(0.025), at(0.975)};
}

std::vector<std::vector<double>> thinned(const std::vector<std::vector<std::int64_t>>& processes) {
  std::vector<std::vector<double>> result;
  for (const std::vector<std::int64_t>& process : processes) {
    const std::size_t count = std::min(process.size(), kThinnedSamples);
    std::vector<double> kept;
    kept.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      kept.push_back(static_cast<double>(process[i * process.size() / count]));
    }
    result.push_back(std::move(kept));
  }
  return result;
}

/// The samples of each group; each sample is a group of its own without groups.
std::vector<std::vector<std::size_t>> members_of(const Groups& groups, std::size_t count) {
  std::map<std::int64_t, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < count; ++i) {
    members[groups.empty() ? static_cast<std::int64_t>(i) : groups[i]].push_back(i);
  }
  std::vector<std::vector<std::size_t>> result;
  result.reserve(members.size());
  for (auto& [group, samples] : members) result.push_back(std::move(samples));
  return result;
}

double pooled_median(const std::vector<std::vector<std::int64_t>>& processes) {
  std::vector<double> pooled;
  for (const auto& process : processes) {
    pooled.insert(pooled.end(), process.begin(), process.end());
  }
  return median(std::move(pooled));
}

double resampled_median(const std::vector<std::vector<double>>& processes, Random& random) {
  std::vector<double> drawn;
  for (std::size_t p = 0; p < processes.size(); ++p) {
    const std::vector<double>& process = processes[random.below(processes.size())];
    for (std::size_t i = 0; i < process.size(); ++i) {
      drawn.push_back(process[random.below(process.size())]);
    }
  }
  return median(std::move(drawn));
}

}  // namespace

std::optional<Interval> bootstrap_interval(
    std::size_t count, const Groups& groups,
    const std::function<double(const std::vector<std::size_t>&)>& statistic) {
  if (count == 0) return std::nullopt;
  const std::vector<std::vector<std::size_t>> members = members_of(groups, count);
  if (!groups.empty() && members.size() < 2) return std::nullopt;
  Random random(kSeed);
  std::vector<std::size_t> indices;
  std::vector<double> replicates;
  for (int replicate = 0; replicate < kReplicates; ++replicate) {
    indices.clear();
    for (std::size_t drawn = 0; drawn < members.size(); ++drawn) {
      const std::vector<std::size_t>& group = members[random.below(members.size())];
      indices.insert(indices.end(), group.begin(), group.end());
    }
    const double value = statistic(indices);
    if (std::isfinite(value)) replicates.push_back(value);
  }
  return percentile_interval(std::move(replicates));
}

Measured median_ratio(const std::vector<std::vector<std::int64_t>>& baseline,
                      const std::vector<std::vector<std::int64_t>>& candidate) {
  const double denominator = pooled_median(candidate);
  if (!(denominator > 0)) return {std::nullopt, std::nullopt, "the candidate's median is zero"};
  const auto baseline_samples = thinned(baseline);
  const auto candidate_samples = thinned(candidate);
  Random random(kSeed);
  std::vector<double> replicates;
  for (int replicate = 0; replicate < kReplicates; ++replicate) {
    const double ratio =
        resampled_median(baseline_samples, random) / resampled_median(candidate_samples, random);
    if (std::isfinite(ratio)) replicates.push_back(ratio);
  }
  const auto interval = percentile_interval(std::move(replicates));
  return {pooled_median(baseline) / denominator, interval,
          interval ? "" : "too few resampled ratios are finite"};
}

}  // namespace edgesmith
