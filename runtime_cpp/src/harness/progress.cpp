#include "progress.hpp"

#include <algorithm>
#include <cmath>

namespace edgesmith::harness {
namespace {

// What layout and timers cause in a steady program.
constexpr double kTolerance = 0.05;

}  // namespace

void Progress::add_block(std::uint64_t count, double median, std::int64_t sum_ns) {
  if (size_ > 0 && blocks_in_last_ < blocks_per_cell_) {
    Cell& last = cells_[size_ - 1];
    const auto weight = static_cast<double>(blocks_in_last_);
    last.median = (last.median * weight + median) / (weight + 1);
    last.count += count;
    last.sum_ns += sum_ns;
    ++blocks_in_last_;
  } else {
    if (size_ == cells_.size()) {
      for (std::size_t i = 0; i < size_ / 2; ++i) {
        const Cell& a = cells_[2 * i];
        const Cell& b = cells_[2 * i + 1];
        cells_[i] = {a.count + b.count, (a.median + b.median) / 2, a.sum_ns + b.sum_ns};
      }
      size_ /= 2;
      blocks_per_cell_ *= 2;
    }
    cells_[size_++] = {count, median, sum_ns};
    blocks_in_last_ = 1;
  }
  ++blocks_;
  if (blocks_at_goal_ == 0 && satisfied_from(0)) blocks_at_goal_ = blocks_;
}

bool Progress::satisfied_from(std::size_t cell) const {
  std::uint64_t count = 0;
  std::int64_t sum_ns = 0;
  for (std::size_t i = cell; i < size_; ++i) {
    count += cells_[i].count;
    sum_ns += cells_[i].sum_ns;
  }
  return count >= goal_.min_iterations && static_cast<double>(sum_ns) >= goal_.min_seconds * 1e9;
}

double Progress::level() const {
  std::array<double, 128> medians{};
  const std::size_t half = size_ / 2;
  for (std::size_t i = half; i < size_; ++i) medians[i - half] = cells_[i].median;
  const auto middle = medians.begin() + static_cast<std::ptrdiff_t>((size_ - half) / 2);
  std::nth_element(medians.begin(), middle,
                   medians.begin() + static_cast<std::ptrdiff_t>(size_ - half));
  return *middle;
}

bool Progress::is_enough() const {
  if (blocks_at_goal_ == 0) return false;
  if (blocks_ >= 2 * blocks_at_goal_) return true;
  const double steady = level();
  for (std::size_t start = 0; start <= size_ / 2; ++start) {
    if (std::abs(cells_[start].median - steady) <= kTolerance * steady) {
      return satisfied_from(start);
    }
  }
  return false;
}

}  // namespace edgesmith::harness
