// Warm-ups and drifts of known length and size, found in noise of several kinds.
#include <algorithm>
#include <array>
#include <iomanip>

#include "check.hpp"
#include "edgesmith/warmup.hpp"
#include "simulation.hpp"

namespace {

using namespace edgesmith;
using test::Checks;
using test::Distribution;

struct Noises {
  Distribution standard_normal = Distribution::standard_normal();
  Distribution normal = Distribution::normal();
  Distribution bimodal = Distribution::bimodal();
  Distribution heavy_tailed = Distribution::heavy_tailed();

  std::vector<std::pair<std::string, test::Noise>> all() const {
    return {{"normal", test::independent(normal)},
            {"bimodal", test::independent(bimodal)},
            {"heavy-tailed", test::independent(heavy_tailed)},
            {"phi 0.5", test::autocorrelated(0.5, standard_normal)}};
  }
};

/// Shares of experiments.
struct Row {
  double right = 0;  ///< The kind is right and the length within 10 %.
  double drifts = 0;
};

/// \param slow_down Factor on the warm-up's latencies.
/// \param drift Relative growth from the first latency to the last.
Row simulate(const test::Noise& noise, std::size_t count, std::size_t warmup, double slow_down,
             double drift) {
  Row row;
  Random random(7);
  // Long series take long; a quarter of the experiments tells their shares well enough.
  const int experiments = std::max(1, test::experiment_count() / (count >= 2000 ? 4 : 1));
  for (int experiment = 0; experiment < experiments; ++experiment) {
    std::vector<double> series = noise(count, random);
    for (std::size_t i = 0; i < warmup; ++i) series[i] *= slow_down;
    for (std::size_t i = 0; i < count; ++i) {
      series[i] *= 1 + drift * static_cast<double>(i) / static_cast<double>(count);
    }
    const Warmup found = find_warmup(series);
    const WarmupKind kind = warmup == 0 ? WarmupKind::kFlat : WarmupKind::kWarmUp;
    const double error = static_cast<double>(found.iterations) - static_cast<double>(warmup);
    if (found.kind == kind && std::abs(error) <= 0.1 * static_cast<double>(warmup)) ++row.right;
    if (found.drifts && found.kind == WarmupKind::kNoSteadyState) ++row.drifts;
  }
  row.right /= experiments;
  row.drifts /= experiments;
  return row;
}

void show(const std::string& name, std::size_t count, const std::string& what, double share) {
  std::cerr << std::setw(16) << name << std::setw(7) << count << "  " << what << " " << std::fixed
            << std::setprecision(3) << share << "\n";
}

/// Iterations that take twice as long: found in at least 95 % of the experiments, in 90 % where
/// latencies resemble their neighbours. Without them, at least 97 % are
/// called flat and at most 1 % drifting.
void warmups(Checks& checks) {
  const Noises noises;
  constexpr std::array<std::pair<std::size_t, std::size_t>, 8> kCases{{{200, 0},
                                                                       {200, 50},
                                                                       {2000, 0},
                                                                       {2000, 50},
                                                                       {2000, 500},
                                                                       {20000, 0},
                                                                       {20000, 50},
                                                                       {20000, 500}}};
  for (const auto& [name, noise] : noises.all()) {
    for (const auto& [count, warmup] : kCases) {
      const Row row = simulate(noise, count, warmup, 2, 0);
      show(name, count, "warm-up of " + std::to_string(warmup) + " found", row.right);
      if (!test::judged()) continue;
      const double found = name == "phi 0.5" ? 0.90 : 0.95;
      checks.expect(row.right >= (warmup == 0 ? 0.97 : found), name + ": warm-up", __FILE__,
                    __LINE__);
      checks.expect(row.drifts <= 0.01, name + ": false drift", __FILE__, __LINE__);
    }
  }
}

/// Latencies that grow by 20 % are called drifting in at least 90 % of the experiments, in at least
/// 40 % where 200 latencies have two modes or resemble their neighbours.
void drifts(Checks& checks) {
  const Noises noises;
  for (const auto& [name, noise] : noises.all()) {
    for (const std::size_t count : {std::size_t{200}, std::size_t{2000}, std::size_t{20000}}) {
      const Row row = simulate(noise, count, 0, 1, 0.2);
      show(name, count, "drift found", row.drifts);
      if (!test::judged()) continue;
      const bool hidden = count == 200 && (name == "bimodal" || name == "phi 0.5");
      checks.expect(row.drifts >= (hidden ? 0.40 : 0.90), name + ": drift", __FILE__, __LINE__);
    }
  }
}

}  // namespace

int main() { return test::run_all({{"warmups", warmups}, {"drifts", drifts}}); }
