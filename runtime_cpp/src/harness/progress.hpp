/// \file
/// When a series has lasted long enough.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace edgesmith::harness {

struct SeriesGoal {
  double min_seconds = 5.0;  ///< Of inference time in the steady state.
  std::uint64_t min_iterations = 200;
  std::int64_t first_inference_ns = 0;  ///< Sizes the blocks.
};

/// A coarse look at a running series, in memory of fixed size: whether what seems steady satisfies
/// the goal. The exact start of the steady state is found afterwards, from all latencies.
class Progress {
 public:
  explicit Progress(const SeriesGoal& goal) : goal_(goal) {}

  /// \param median, sum_ns Of the block's latencies.
  void add_block(std::uint64_t count, double median, std::int64_t sum_ns);

  /// Whether the series can end: it is steady for long enough, or has not become so in twice the
  /// time that the goal takes.
  bool is_enough() const;

 private:
  struct Cell {
    std::uint64_t count = 0;
    double median = 0;  ///< Of neighbours that were put together: the mean of theirs.
    std::int64_t sum_ns = 0;
  };

  bool satisfied_from(std::size_t cell) const;
  double level() const;

  SeriesGoal goal_;
  std::array<Cell, 128> cells_{};
  std::size_t size_ = 0;
  std::uint64_t blocks_ = 0;
  std::uint64_t blocks_per_cell_ = 1;
  std::uint64_t blocks_in_last_ = 0;
  std::uint64_t blocks_at_goal_ = 0;  ///< When all blocks together first satisfied it.
};

}  // namespace edgesmith::harness
