#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "check.hpp"
#include "edgesmith/accuracy.hpp"
#include "edgesmith/statistics.hpp"
#include "random.hpp"
#include "simulation.hpp"

namespace {

using namespace edgesmith;
using test::Checks;

bool ranks_are(std::uint64_t count, double quantile, std::uint64_t low, std::uint64_t high) {
  const auto ranks = quantile_ranks(count, quantile);
  return ranks && *ranks == std::array<std::uint64_t, 2>{low, high};
}

void ranks_of_quantiles(Checks& checks) {
  CHECK(ranks_are(1000, 0.5, 469, 532));
  CHECK(ranks_are(1000, 0.9, 881, 919));
  CHECK(ranks_are(1000, 0.99, 983, 997));
  CHECK(!quantile_ranks(200, 0.99));
  CHECK(!quantile_ranks(0, 0.5));
  const std::array<std::pair<double, std::uint64_t>, 5> least{
      {{0.5, 6}, {0.9, 36}, {0.95, 72}, {0.99, 368}, {0.999, 3688}}};
  for (const auto& [quantile, count] : least) {
    CHECK_EQUAL(samples_needed(quantile), count);
    CHECK(quantile_ranks(count, quantile));
    CHECK(!quantile_ranks(count - 1, quantile));
  }
  CHECK(quantile_ranks(2'000'000, 0.999));
}

void summaries(Checks& checks) {
  std::vector<std::int64_t> values(1000);
  std::iota(values.begin(), values.end(), 1);
  // In an order of which each value says nothing about the next.
  std::vector<std::int64_t> mixed(1000);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    mixed[i] = static_cast<std::int64_t>(i * 387 % 1000 + 1);
  }
  const LatencySummary summary = summarize_latencies({mixed}, values);
  CHECK_EQUAL(summary.count, 1000U);
  CHECK_NEAR(summary.mean, 500.5, 1e-9);
  CHECK_NEAR(*summary.stddev, 288.8194360957494, 1e-9);
  CHECK_NEAR(*summary.percentiles[0].value, 500, 0);
  CHECK_NEAR(summary.percentiles[0].ci95->low, 469, 0);
  CHECK(!summary.percentiles[3].value);
  const auto& counts = summary.histogram.counts;
  CHECK_EQUAL(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}), 1000U);
  CHECK_EQUAL(summary.histogram.edges.size(), counts.size() + 1);
  const LatencySummary one = summarize_latencies({{0}}, {0});
  CHECK(!one.stddev && !one.percentiles[0].value);
  CHECK_EQUAL(one.histogram.counts.size(), 1U);
}

void proportions(Checks& checks) {
  const Interval half = wilson_interval(50, 100);
  CHECK_NEAR(half.low, 0.4038315, 1e-6);
  CHECK_NEAR(half.high, 0.5961685, 1e-6);
  CHECK_NEAR(wilson_interval(0, 10).high, 0.2775328, 1e-6);
  CHECK_NEAR(wilson_interval(10, 10).high, 1.0, 0);
  CHECK_NEAR(mcnemar_exact_p(0, 0), 1.0, 0);
  CHECK_NEAR(mcnemar_exact_p(1, 9), 0.021484375, 1e-9);
  CHECK_NEAR(mcnemar_exact_p(6, 6), 1.0, 1e-12);
}

void grouped_proportions(Checks& checks) {
  CHECK_NEAR(student_t_quantile(1), 12.706204736174705, 1e-11);
  CHECK_NEAR(student_t_quantile(2.5), 3.5746548420036817, 1e-12);
  CHECK_NEAR(student_t_quantile(3), 3.1824463052837, 1e-12);
  CHECK_NEAR(student_t_quantile(6), 2.4469118511449692, 1e-12);
  CHECK_NEAR(student_t_quantile(399), 1.965927295920882, 1e-12);
  CHECK_NEAR(student_t_quantile(400), 1.9659123432294627, 1e-12);
  // Ten groups of twenty, each of one mind: worth ten samples, or less for the unknown variance.
  std::vector<bool> hits;
  Groups groups;
  for (std::int64_t group = 0; group < 10; ++group) {
    for (int i = 0; i < 20; ++i) {
      hits.push_back(group < 7);
      groups.push_back(group);
    }
  }
  const Measured clustered = proportion(hits, groups);
  const Measured independent = proportion(hits);
  const Interval ten = wilson_interval(7, 10);
  CHECK_NEAR(*clustered.value, 0.7, 1e-12);
  CHECK(clustered.ci95->low < ten.low + 0.01 && clustered.ci95->high > ten.high - 0.01);
  CHECK(independent.ci95->low > clustered.ci95->low + 0.2);
  // Groups that do not differ are worth all their samples, less for the unknown variance.
  Groups mixed;
  for (std::size_t i = 0; i < hits.size(); ++i) mixed.push_back(static_cast<std::int64_t>(i % 20));
  const Measured alike = proportion(hits, mixed);
  CHECK(alike.ci95->low >= independent.ci95->low - 1e-12 - 0.05);
  // All agree: nothing can be learned of the variance, each group counts once.
  const Measured all = proportion(std::vector<bool>(200, true), groups);
  CHECK_NEAR(all.ci95->low, wilson_interval(10, 10).low, 1e-12);
  CHECK(!proportion({true, false}, {4, 4}).ci95);
  CHECK_EQUAL(group_count(groups, hits.size()), 10U);
}

void grouped_errors(Checks& checks) {
  const SampleError exact = compare_sample({1, 2}, {1, 2.01});
  const SampleError off = compare_sample({1.5, 2}, {1, 2});
  std::vector<SampleError> errors;
  Groups groups;
  for (int i = 0; i < 100; ++i) {
    errors.push_back(i < 50 ? exact : off);
    groups.push_back(i / 25);
  }
  const Measured independent = mean_cosine(errors);
  const Measured clustered = mean_cosine(errors, groups);
  CHECK_NEAR(*clustered.value, *independent.value, 1e-12);
  const auto width = [](const Measured& measured) {
    return measured.ci95->high - measured.ci95->low;
  };
  CHECK(width(clustered) > 3 * width(independent));
  CHECK(!mean_cosine(errors, Groups(100, 1)).ci95);
  const std::vector<bool> baseline(100, true);
  std::vector<bool> candidate(100, true);
  for (std::size_t i = 0; i < 10; ++i) candidate[i] = false;
  CHECK(!paired_proportion_loss(baseline, candidate, groups).mcnemar_p);
}

void ratios(Checks& checks) {
  std::vector<std::vector<std::int64_t>> slow(3);
  std::vector<std::vector<std::int64_t>> fast(3);
  for (std::int64_t i = 0; i < 300; ++i) {
    slow[static_cast<std::size_t>(i % 3)].push_back(2000 + i % 17);
    fast[static_cast<std::size_t>(i % 3)].push_back(1000 + i % 13);
  }
  const Measured ratio = median_ratio(slow, fast);
  CHECK(ratio.value && ratio.ci95);
  CHECK_NEAR(*ratio.value, 2.0, 0.02);
  CHECK(ratio.ci95->low <= *ratio.value && *ratio.value <= ratio.ci95->high);
  const Measured again = median_ratio(slow, fast);
  CHECK(again.ci95->low == ratio.ci95->low && again.ci95->high == ratio.ci95->high);
  const Measured single = median_ratio({slow[0]}, fast);
  CHECK(single.value && !single.ci95 && !single.reason.empty());
  // Where only the processes vary, the interval is Welch's: two processes that are 10 % apart.
  const ProcessLatencies apart{{10000, 10000}, {11000, 11000}};
  const double half = std::log(median_ratio(apart, apart).ci95->high);
  CHECK_NEAR(half, student_t_quantile(2) * std::log(1.1) / std::sqrt(2.0), 0.1 * half);
  const Measured constant = median_ratio({{4}, {4}}, {{2}, {2}});
  CHECK_NEAR(constant.ci95->low, 2, 1e-12);
  CHECK_NEAR(constant.ci95->high, 2, 1e-12);
  CHECK(!median_ratio({{1}}, {{0}}).value);
}

std::vector<double> alternating(std::size_t count) {
  std::vector<double> series(count, 100.0);
  for (std::size_t i = 0; i < count; ++i) series[i] += static_cast<double>(i % 3) * 0.2;
  return series;
}

void warmups(Checks& checks) {
  const std::vector<double> flat = alternating(64);
  CHECK_EQUAL(warmup_name(find_warmup(flat).kind), "flat");
  std::vector<double> warm = flat;
  for (std::size_t i = 0; i < 10; ++i) warm[i] *= 2.0 - 0.08 * static_cast<double>(i);
  const Warmup found = find_warmup(warm);
  CHECK_EQUAL(warmup_name(found.kind), "warm-up");
  CHECK_EQUAL(found.iterations, 10U);
  std::vector<double> slowed = flat;
  for (std::size_t i = 20; i < slowed.size(); ++i) slowed[i] *= 1.3;
  CHECK_EQUAL(warmup_name(find_warmup(slowed).kind), "slow-down");
  CHECK_EQUAL(find_warmup(slowed).iterations, 20U);
  std::vector<double> rising = flat;
  for (std::size_t i = 0; i < rising.size(); ++i) rising[i] *= 1 + 0.02 * static_cast<double>(i);
  CHECK_EQUAL(warmup_name(find_warmup(rising).kind), "no-steady-state");
  CHECK(find_warmup(rising).drifts && *find_warmup(rising).trend > 0.5);
  CHECK_EQUAL(warmup_name(find_warmup({1, 1, 1}).kind), "no-steady-state");
  CHECK_EQUAL(warmup_name(find_warmup(std::vector<double>(100, 5)).kind), "flat");
  // More values than are looked at one by one: the change is still found to the iteration.
  std::vector<double> many = alternating(100'000);
  for (std::size_t i = 0; i < 12'345; ++i) many[i] *= 1.2;
  CHECK_EQUAL(find_warmup(many).iterations, 12'345U);
}

void disturbances(Checks& checks) {
  // A short burst is none of the steady level, and no change of it either.
  std::vector<double> burst = alternating(1000);
  for (std::size_t i = 700; i < 730; ++i) burst[i] *= 1.5;
  CHECK_EQUAL(warmup_name(find_warmup(burst).kind), "flat");
  std::vector<double> half = alternating(1000);
  for (std::size_t i = 700; i < 1000; ++i) half[i] *= 1.5;
  CHECK_EQUAL(warmup_name(find_warmup(half).kind), "no-steady-state");
  // A few fast iterations before a slow start do not hide it.
  std::vector<double> hidden = alternating(1000);
  for (std::size_t i = 10; i < 60; ++i) hidden[i] *= 1.5;
  CHECK_EQUAL(find_warmup(hidden).iterations, 60U);
}

void outliers(Checks& checks) {
  std::vector<std::int64_t> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 1000 + static_cast<std::int64_t>(i % 21) - 10;
  }
  CHECK_EQUAL(count_outliers(values).count, 0U);
  // The median absolute deviation is 5: 74.13 away is the limit.
  values[0] = 1000 + 75;
  values[1] = 1000 - 75;
  values[2] = 1000 + 74;
  std::sort(values.begin(), values.end());
  CHECK_EQUAL(count_outliers(values).count, 2U);
  CHECK_NEAR(count_outliers(values).share, 0.002, 1e-12);
  // Equal latencies: the clock's step is no outlier.
  std::vector<std::int64_t> equal(100, 1000);
  equal.back() = 1010;
  CHECK_EQUAL(count_outliers(equal).count, 0U);
  equal.back() = 1020;
  CHECK_EQUAL(count_outliers(equal).count, 1U);
}

void output_errors(Checks& checks) {
  const std::vector<double> reference{1, 2, 3, 4};
  const SampleError exact = compare_sample(reference, reference);
  CHECK_NEAR(exact.cosine, 1.0, 1e-12);
  CHECK(!sqnr_db({exact, exact}).value && !sqnr_db({exact, exact}).reason.empty());
  const SampleError off = compare_sample({1.1, 2, 3, 4}, reference);
  CHECK_NEAR(*sqnr_db({off}).value, 10 * std::log10(30 / 0.01), 1e-6);
  CHECK_NEAR(*max_abs_error({exact, off}).value, 0.1, 1e-12);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const SampleError broken = compare_sample({nan, 2, 3, 4}, reference);
  CHECK(!broken.finite && !mean_cosine({exact, broken}).value);
  CHECK(!mean_cosine({}).value);
  CHECK_EQUAL(argmax({1, 5, 5}), 1);
  CHECK_EQUAL(argmax({1, nan}), -1);
  CHECK(in_top({1, 5, 5}, 1, 1) && !in_top({1, 5, 5}, 2, 1) && in_top({1, 5, 5}, 2, 2));
  CHECK(!in_top({1, 2}, 7, 1) && !in_top({1, 2}, -1, 1));
}

void paired_losses(Checks& checks) {
  const std::vector<bool> baseline(200, true);
  std::vector<bool> candidate(200, true);
  for (std::size_t i = 0; i < 20; ++i) candidate[i] = false;
  const PairedLoss loss = paired_proportion_loss(baseline, candidate);
  CHECK_NEAR(*loss.loss.value, 0.1, 1e-12);
  CHECK(loss.loss.ci95->low > 0.05 && loss.loss.ci95->high < 0.15);
  CHECK(*loss.mcnemar_p < 1e-5);
  const SampleError exact = compare_sample({1, 2}, {1, 2});
  const SampleError off = compare_sample({1.5, 2}, {1, 2});
  CHECK_NEAR(*paired_error_loss("max_abs_error", {exact}, {off}).loss.value, 0.5, 1e-12);
  CHECK(*paired_error_loss("cosine", {exact}, {off}).loss.value > 0);
  CHECK(!paired_error_loss("sqnr_db", {exact}, {off}).loss.value);
  CHECK(!paired_proportion_loss({true}, {true, true}).loss.value);
}

/// Where no answer changes, the interval is as wide as so few samples ask.
void losses_without_a_change(Checks& checks) {
  const double z2 = kNormalQuantile * kNormalQuantile;
  for (const std::size_t n : {std::size_t{1}, std::size_t{14}, std::size_t{500}}) {
    const std::vector<bool> same(n, true);
    const Measured loss = paired_proportion_loss(same, same).loss;
    const double half = z2 / (static_cast<double>(n) + z2);
    CHECK(loss.value == 0 && loss.ci95);
    CHECK_NEAR(loss.ci95->high, half, 1e-13);
    CHECK_NEAR(loss.ci95->low, -half, 1e-13);
  }
  // Seven pictures are no more than seven, however many crops each gives.
  Groups groups(70);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<std::int64_t>(i / 10);
  const std::vector<bool> same(70, false);
  CHECK_NEAR(paired_proportion_loss(same, same, groups).loss.ci95->high, z2 / (7 + z2), 1e-13);
  CHECK(!paired_proportion_loss(same, same, Groups(70, 1)).loss.ci95);
  // One change in each group: the groups tell no less than the samples, whatever their size.
  for (const std::size_t size : {std::size_t{8}, std::size_t{9}}) {
    std::vector<bool> changed(4 * size, false);
    Groups of(changed.size());
    for (std::size_t i = 0; i < of.size(); ++i) {
      of[i] = static_cast<std::int64_t>(i / size);
      changed[i] = i % size == 0;
    }
    const std::vector<bool> none(changed.size(), false);
    const Measured grouped = paired_proportion_loss(changed, none, of).loss;
    const Measured alone = paired_proportion_loss(changed, none).loss;
    CHECK_NEAR(grouped.ci95->low, alone.ci95->low, 1e-9);
  }
  const std::vector<bool> all(9, true);
  const Measured lost = paired_proportion_loss(all, std::vector<bool>(9, false)).loss;
  CHECK(*lost.value == 1 && lost.ci95->high == 1 && lost.ci95->low < 0.8);
  const SampleError one = compare_sample({1, 2.5}, {1, 2});
  CHECK(!paired_error_loss("cosine", {one}, {one}).loss.ci95);
  CHECK(!mean_cosine({one}).ci95 && !mean_cosine({one}).reason.empty());
}

/// Shares of pairs that only one side gets right; the interval covers the true difference.
void coverage_of_losses(Checks& checks) {
  struct Case {
    std::size_t n;
    double only_first;
    double only_second;
  };
  constexpr int kExperiments = 2000;
  Random random(20261121);
  for (const Case& one : {Case{30, 0.05, 0.02}, Case{200, 0.02, 0.01}, Case{500, 0.004, 0.004}}) {
    int covered = 0;
    for (int experiment = 0; experiment < kExperiments; ++experiment) {
      std::vector<bool> first(one.n, true);
      std::vector<bool> second(one.n, true);
      for (std::size_t i = 0; i < one.n; ++i) {
        const double drawn = test::uniform(random);
        second[i] = drawn >= one.only_first;
        first[i] = second[i] ? drawn < 1 - one.only_second : true;
      }
      const Interval interval = paired_difference_interval(first, second, {});
      const double truth = one.only_first - one.only_second;
      if (interval.low <= truth && truth <= interval.high) ++covered;
    }
    CHECK(covered >= 0.93 * kExperiments);
    // Nor is it wider than need be, where there are changes enough to tell.
    if (one.n == 200) CHECK(covered <= 0.985 * kExperiments);
  }
}

}  // namespace

int main() {
  return test::run_all({{"ranks_of_quantiles", ranks_of_quantiles},
                        {"summaries", summaries},
                        {"proportions", proportions},
                        {"grouped_proportions", grouped_proportions},
                        {"grouped_errors", grouped_errors},
                        {"ratios", ratios},
                        {"warmups", warmups},
                        {"disturbances", disturbances},
                        {"outliers", outliers},
                        {"output_errors", output_errors},
                        {"paired_losses", paired_losses},
                        {"losses_without_a_change", losses_without_a_change},
                        {"coverage_of_losses", coverage_of_losses}});
}
