#include "edgesmith/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "random.hpp"

namespace edgesmith {
namespace {

constexpr std::uint64_t kSeed = 20250101;
constexpr int kReplicates = 1000;

std::optional<Interval> percentile_interval(std::vector<double> replicates) {
  if (replicates.size() < kReplicates / 2) return std::nullopt;
  std::sort(replicates.begin(), replicates.end());
  const auto at = [&](double share) {
    const double position = share * static_cast<double>(replicates.size() - 1);
    return replicates[static_cast<std::size_t>(std::lround(position))];
  };
  // What is the same each time can't show how other samples would differ.
  if (replicates.front() == replicates.back()) return std::nullopt;
  return Interval{at(0.025), at(0.975)};
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

}  // namespace edgesmith
