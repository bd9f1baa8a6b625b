// The interval of a ratio of latencies: false alarms on equal variants, and what it can tell apart.
#include <array>
#include <iomanip>

#include "check.hpp"
#include "edgesmith/bootstrap.hpp"
#include "simulation.hpp"

namespace {

using namespace edgesmith;
using test::Checks;
using test::Distribution;

constexpr std::size_t kLatencies = 200;  // In each process.

ProcessLatencies draw(const Distribution& normal, std::size_t processes, double spread,
                      double noise, double level, Random& random) {
  ProcessLatencies result(processes);
  for (auto& process : result) {
    const double own = 1e6 * level * (1 + spread * normal.draw(random));
    for (std::size_t i = 0; i < kLatencies; ++i) {
      process.push_back(std::llround(own * (1 + noise * normal.draw(random))));
    }
  }
  return result;
}

/// Share of pairs whose interval leaves out 1.
double alarms(std::size_t processes, double spread, double noise, double slow_down, int pairs) {
  const Distribution normal = Distribution::standard_normal();
  Random random(5);
  int found = 0;
  for (int pair = 0; pair < pairs; ++pair) {
    const ProcessLatencies baseline = draw(normal, processes, spread, noise, 1, random);
    const ProcessLatencies candidate = draw(normal, processes, spread, noise, slow_down, random);
    const Measured ratio = median_ratio(baseline, candidate);
    if (ratio.ci95 && (ratio.ci95->low > 1 || ratio.ci95->high < 1)) ++found;
  }
  const double share = static_cast<double>(found) / pairs;
  std::cerr << processes << " processes that vary by " << 100 * spread << " %, slower by "
            << 100 * (slow_down - 1) << " %: " << std::fixed << std::setprecision(4) << share
            << std::defaultfloat << " of " << pairs << " pairs are told apart\n";
  return share;
}

void equal_variants(Checks& checks) {
  // Latencies that vary little leave all to the processes, which is where an interval errs.
  for (const std::size_t processes : {std::size_t{3}, std::size_t{5}}) {
    const double share = alarms(processes, 0.01, 0.005, 1, 2 * test::experiment_count());
    if (!test::judged()) continue;
    CHECK(share <= 0.065);
    CHECK(share >= 0.01);  // An interval that never errs is too wide.
  }
}

void slower_variants(Checks& checks) {
  // The medians of equal processes vary by 0.5 % (three) or 1 % (five), single latencies by 3 %.
  const double three = alarms(3, 0.005, 0.03, 1.03, test::experiment_count());
  const double five = alarms(5, 0.01, 0.03, 1.03, test::experiment_count());
  if (!test::judged()) return;
  CHECK(three >= 0.9);
  CHECK(five >= 0.9);
}

}  // namespace

int main() {
  return test::run_all({{"equal_variants", equal_variants}, {"slower_variants", slower_variants}});
}
