#include "steady.hpp"

#include "edgesmith/statistics.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

json warmup_json(const Warmup& warmup, std::uint64_t stride) {
  json result = {{"iterations", warmup.iterations * stride},
                 {"kind", warmup_name(warmup.kind)},
                 {"trend", nullptr},
                 {"drifts", warmup.drifts}};
  if (warmup.trend) {
    result["trend"] = *warmup.trend;
  } else {
    result["reasons"]["trend"] = "too few iterations";
  }
  return result;
}

}  // namespace

Steady find_steady(const ChildOutcome& outcome) {
  // Waiting frames drift while the work on them is steady.
  const bool on_schedule = !outcome.services.empty();
  const std::vector<std::int64_t>& work = on_schedule ? outcome.services : outcome.latencies;
  const Warmup warmup = find_warmup({work.begin(), work.end()});
  const auto stride = outcome.document["process"]["timing"]["stride"].get<std::uint64_t>();
  const auto from = [&](const std::vector<std::int64_t>& all) {
    return std::vector<std::int64_t>(all.begin() + static_cast<std::ptrdiff_t>(warmup.iterations),
                                     all.end());
  };
  return {warmup_json(warmup, stride), from(outcome.latencies), from(work)};
}

}  // namespace edgesmith::harness
