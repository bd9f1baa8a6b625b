#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "affinity.hpp"
#include "check.hpp"
#include "edgesmith/clock.hpp"
#include "file.hpp"
#include "latency_histogram.hpp"
#include "latency_log.hpp"
#include "progress.hpp"
#include "queue_simulation.hpp"
#include "scenario.hpp"
#include "schedule.hpp"

namespace {

using namespace edgesmith;
using namespace edgesmith::harness;
using test::Checks;

void scenarios_have_texts(Checks& checks) {
  for (const char* text : {"single-stream", "offline:1", "offline:256", "fixed-rate:30",
                           "fixed-rate:29.97", "soak:3600", "soak:0.5"}) {
    const auto scenario = parse_scenario(text);
    CHECK(scenario);
    if (scenario) CHECK_EQUAL(scenario_name(*scenario), text);
  }
  for (const char* text :
       {"", "single", "offline", "offline:0", "offline:1.5", "offline:257", "fixed-rate:0",
        "fixed-rate:-1", "fixed-rate:nan", "soak:", "soak:0", "soak:1e9", "single-stream:1"}) {
    CHECK(!parse_scenario(text));
  }
}

void cpu_lists(Checks& checks) {
  const auto list = parse_cpus("3,0-1,1");
  CHECK(list && *list == (std::vector<unsigned>{0, 1, 3}));
  for (const char* text : {"", "a", "1-", "-1", "3-1", "0,,1", "0-99999", "0x1", "0 "}) {
    CHECK(!parse_cpus(text));
  }
  CHECK(!confine_to("1023"));
}

void clocks_are_steady(Checks& checks) {
  const Clock clock = Clock::cheapest();
  CHECK(clock.cost_ns() > 0 && clock.granularity_ns() > 0);
  CHECK_EQUAL(clock.steps_back(), 0U);
  const auto same = Clock::named(clock.name());
  CHECK(same && same->name() == clock.name());
  CHECK(!Clock::named("CLOCK_REALTIME"));
}

/// Time that only work and sleep move.
struct FakeTimer {
  std::int64_t* now;
  std::int64_t late_ns;  ///< How much too late a sleep ends.
  std::int64_t now_ns() const { return *now; }
  void sleep_until_ns(std::int64_t moment) const { *now = moment + late_ns; }
};

ScheduleOutcome run_fake(const std::vector<std::int64_t>& services, double rate_hz,
                         std::vector<Frame>& frames, std::int64_t late_ns = 0) {
  std::int64_t now = 1'000'000;
  const FakeTimer timer{&now, late_ns};
  std::size_t next = 0;
  const auto work = [&]() -> Status {
    now += services[next++];
    return Done{};
  };
  LatencyHistogram delays;
  frames.assign(services.size(), {});
  const auto outcome = run_schedule(timer, {rate_hz, 0, services.size()}, work, frames, delays);
  return *outcome;
}

/// Work of known length, around 5 ms: at 100 Hz it keeps up, at 250 Hz it does not, and at 190 Hz
/// queues come and go.
void schedules_agree_with_a_simulation(Checks& checks) {
  // NOLINTNEXTLINE(bugprone-random-generator-seed,cert-msc32-c,cert-msc51-cpp): alike every time.
  std::mt19937 random(5);
  std::vector<std::int64_t> services(5000);
  for (std::int64_t& service : services) {
    service = 4'000'000 + static_cast<std::int64_t>(random() % 2'000'000);
  }
  for (const double rate : {100.0, 190.0, 199.0, 250.0, 10'000.0}) {
    std::vector<Frame> frames;
    const ScheduleOutcome outcome = run_fake(services, rate, frames);
    const test::QueueOutcome expected = test::simulate_queue(services, rate);
    CHECK_EQUAL(outcome.done, services.size());
    CHECK_EQUAL(outcome.late, expected.late);
    CHECK_EQUAL(outcome.waiting, expected.waiting);
    CHECK_NEAR(outcome.achieved_hz, expected.achieved_hz, 1e-9 * expected.achieved_hz);
    for (std::size_t i = 0; i < frames.size(); i += 97) {
      CHECK_EQUAL(frames[i].latency_ns, expected.latencies_ns[i]);
      CHECK_EQUAL(frames[i].service_ns, services[i]);
    }
  }
}

/// What is late is what the schedule says: a timer that wakes too late makes frames late, too.
void a_late_timer_counts(Checks& checks) {
  const std::vector<std::int64_t> services(100, 9'000'000);
  std::vector<Frame> frames;
  CHECK_EQUAL(run_fake(services, 100, frames).late, 0U);
  CHECK_EQUAL(run_fake(services, 100, frames).max_queue, 1U);
  CHECK(run_fake(services, 100, frames, 2'000'000).late > 0);
}

std::vector<std::int64_t> content_of(int fd) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)) / 8);
  const auto bytes = static_cast<ssize_t>(values.size() * 8);
  if (::pread(fd, values.data(), static_cast<std::size_t>(bytes), 0) != bytes) values.clear();
  return values;
}

/// In whatever blocks they come: order is kept, the bound too, and each stretch of `stride` has
/// exactly one representative.
void a_log_is_bounded(Checks& checks) {
  constexpr std::uint64_t kBound = 2048;
  for (const std::size_t block : {1U, 7U, 1000U, 4096U}) {
    const Descriptor file(::memfd_create("test", MFD_CLOEXEC));
    LatencyLog log(file.get(), kBound);
    std::int64_t next = 0;
    for (int i = 0; next < 30'000; ++i) {
      std::vector<std::int64_t> values(block);
      for (std::int64_t& value : values) value = next++;
      CHECK(log.append(values.data(), values.size()));
    }
    const std::vector<std::int64_t> kept = content_of(file.get());
    CHECK_EQUAL(kept.size(), log.kept());
    CHECK_EQUAL(log.timed(), static_cast<std::uint64_t>(next));
    CHECK(kept.size() <= kBound && kept.size() >= kBound / 2 - 1);
    const auto stride = static_cast<std::int64_t>(log.stride());
    bool representative = stride > 1;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      representative = representative && kept[i] / stride == static_cast<std::int64_t>(i);
    }
    CHECK(representative);
  }
}

void histograms_give_percentiles(Checks& checks) {
  // NOLINTNEXTLINE(bugprone-random-generator-seed,cert-msc32-c,cert-msc51-cpp): alike every time.
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> distribution(11, 1.5);
  LatencyHistogram histogram;
  std::vector<std::int64_t> values(20'000);
  for (std::int64_t& value : values) {
    value = static_cast<std::int64_t>(distribution(random));
    histogram.add(value);
  }
  std::sort(values.begin(), values.end());
  for (const double quantile : {0.01, 0.5, 0.9, 0.99}) {
    const auto rank = static_cast<std::size_t>(std::ceil(quantile * 20'000)) - 1;
    const auto exact = static_cast<double>(values[rank]);
    const auto found = histogram.quantile(quantile);
    CHECK(found && std::abs(static_cast<double>(*found) - exact) <= 0.004 * exact);
  }
  CHECK_EQUAL(histogram.maximum(), values.back());
  histogram.clear();
  histogram.add(-1);
  histogram.add(INT64_MAX);
  CHECK(histogram.count() == 2 && !histogram.quantile(0.5));
}

/// Blocks until a series ends; latencies in ns as a function of the block.
template <typename Level>
int blocks_until_enough(Level level) {
  Progress progress({1.0, 200, 0});
  for (int block = 0; block < 100'000; ++block) {
    if (progress.is_enough()) return block;
    progress.add_block(10, level(block), static_cast<std::int64_t>(10 * level(block)));
  }
  return -1;
}

void a_series_ends(Checks& checks) {
  // One second of 1 ms each is 100 blocks of 10.
  CHECK_EQUAL(blocks_until_enough([](int) { return 1e6; }), 100);
  // Slow blocks at the start do not count towards the second.
  const int warm = blocks_until_enough([](int block) { return block < 30 ? 2e6 : 1e6; });
  CHECK(warm >= 130 && warm <= 136);
  // A drift is given twice the time of the goal.
  const int drifting = blocks_until_enough([](int block) { return 1e6 * (1 + 0.02 * block); });
  CHECK_EQUAL(drifting, 126);  // 63 blocks make a second.
}

}  // namespace

int main() {
  return test::run_all({{"scenarios_have_texts", scenarios_have_texts},
                        {"cpu_lists", cpu_lists},
                        {"clocks_are_steady", clocks_are_steady},
                        {"schedules_agree_with_a_simulation", schedules_agree_with_a_simulation},
                        {"a_late_timer_counts", a_late_timer_counts},
                        {"a_log_is_bounded", a_log_is_bounded},
                        {"histograms_give_percentiles", histograms_give_percentiles},
                        {"a_series_ends", a_series_ends}});
}
