// 95 % intervals of percentiles against distributions whose percentiles are known.
#include <algorithm>
#include <array>
#include <iomanip>

#include "check.hpp"
#include "edgesmith/latency.hpp"
#include "simulation.hpp"

namespace {

using namespace edgesmith;
using test::Checks;
using test::Distribution;

constexpr std::array<double, 4> kQuantiles{0.5, 0.9, 0.99, 0.999};
constexpr std::array<std::size_t, 3> kSizes{200, 2000, 20000};

using Truth = std::array<double, 4>;
using Draw = std::function<ProcessLatencies(std::size_t count, Random& random)>;

/// How often each percentile had an interval, and how often that held the truth.
struct Row {
  std::array<int, 4> given{};
  std::array<int, 4> covered{};
};

Row simulate(std::size_t count, const Draw& draw, const Truth& truth) {
  Row row;
  Random random(42);
  for (int experiment = 0; experiment < test::experiment_count(); ++experiment) {
    const ProcessLatencies processes = draw(count, random);
    std::vector<std::int64_t> sorted;
    for (const auto& process : processes) {
      sorted.insert(sorted.end(), process.begin(), process.end());
    }
    std::sort(sorted.begin(), sorted.end());
    const std::vector<Percentile> found = percentiles_of(processes, sorted);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i].ci95) continue;
      ++row.given[i];
      // The latencies are rounded, their truth is not.
      const bool held = found[i].ci95->low <= truth[i] + 1 && truth[i] - 1 <= found[i].ci95->high;
      row.covered[i] += held ? 1 : 0;
    }
  }
  return row;
}

/// Of the percentiles whose interval is given in at least half of the experiments, each holds the
/// truth in at least `least` of these.
void check_row(Checks& checks, const std::string& name, std::size_t count, const Row& row,
               double least) {
  std::cerr << std::setw(16) << name << std::setw(7) << count << std::fixed << std::setprecision(3);
  for (std::size_t i = 0; i < kQuantiles.size(); ++i) {
    std::cerr << "  p" << std::setprecision(1) << 100 * kQuantiles[i] << std::setprecision(3);
    if (2 * row.given[i] < test::experiment_count()) {
      std::cerr << "     -";
      continue;
    }
    const double share = static_cast<double>(row.covered[i]) / row.given[i];
    std::cerr << " " << share;
    if (test::judged()) {
      checks.expect(share >= least, name + ": an interval misses too often", __FILE__, __LINE__);
    }
  }
  std::cerr << "\n";
}

Truth quantiles_of(const Distribution& distribution) {
  Truth truth{};
  for (std::size_t i = 0; i < truth.size(); ++i) truth[i] = distribution.quantile(kQuantiles[i]);
  return truth;
}

/// Truth of 1 ms with normal noise of this relative deviation.
Truth normal_truth(double deviation) {
  constexpr std::array<double, 4> kScores{0, 1.2815515655446004, 2.3263478740408408,
                                          3.0902323061678132};
  Truth truth{};
  for (std::size_t i = 0; i < truth.size(); ++i) truth[i] = 1e6 * (1 + deviation * kScores[i]);
  return truth;
}

/// A series cut into equal processes.
Draw in_processes(const test::Noise& noise, std::size_t processes) {
  return [noise, processes](std::size_t count, Random& random) {
    const std::vector<double> series = noise(count, random);
    ProcessLatencies result(processes);
    for (std::size_t i = 0; i < count; ++i) {
      result[i * processes / count].push_back(std::llround(series[i]));
    }
    return result;
  };
}

void independent_latencies(Checks& checks) {
  const std::vector<std::pair<std::string, Distribution>> distributions{
      {"normal", Distribution::normal()},
      {"bimodal", Distribution::bimodal()},
      {"heavy-tailed", Distribution::heavy_tailed()}};
  for (const auto& [name, distribution] : distributions) {
    for (const std::size_t count : kSizes) {
      const Draw draw = in_processes(test::independent(distribution), 1);
      check_row(checks, name, count, simulate(count, draw, quantiles_of(distribution)), 0.93);
    }
  }
}

void autocorrelated_latencies(Checks& checks) {
  const Distribution normal = Distribution::standard_normal();
  const std::array<std::pair<double, std::size_t>, 5> cases{
      {{0.5, 200}, {0.5, 2000}, {0.8, 200}, {0.8, 2000}, {0.8, 20000}}};
  for (const auto& [phi, count] : cases) {
    const Draw draw = in_processes(test::autocorrelated(phi, normal), 2);
    check_row(checks, phi < 0.6 ? "phi 0.5" : "phi 0.8", count,
              simulate(count, draw, normal_truth(0.05)), 0.90);
  }
}

void processes_that_differ(Checks& checks) {
  // Levels that vary by 2 % from process to process, five of them.
  const Distribution normal = Distribution::standard_normal();
  const Draw draw = [&](std::size_t count, Random& random) {
    ProcessLatencies result(5);
    for (auto& process : result) {
      const double level = 0.02 * normal.draw(random);
      for (std::size_t i = 0; i < count / 5; ++i) {
        process.push_back(std::llround(1e6 * (1 + level + 0.05 * normal.draw(random))));
      }
    }
    return result;
  };
  Row row = simulate(10000, draw, normal_truth(std::hypot(0.02, 0.05)));
  row.given[2] = row.given[3] = 0;  // Five processes do not show the tail of their distribution.
  check_row(checks, "5 processes", 10000, row, 0.90);
}

}  // namespace

int main() {
  return test::run_all({{"independent_latencies", independent_latencies},
                        {"autocorrelated_latencies", autocorrelated_latencies},
                        {"processes_that_differ", processes_that_differ}});
}
