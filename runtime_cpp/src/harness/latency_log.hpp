/// \file
/// Where timed inferences are kept: outside this process's own memory, which is measured too.
#pragma once

#include <cstdint>

#include "edgesmith/result.hpp"

namespace edgesmith::harness {

/// Latencies in a memory file that the parent reads. Written between blocks of inferences from the
/// block's own, preallocated memory; a mapping of the file would count as memory of the model.
///
/// At most `bound` are kept: when they are reached, one of each two neighbours is dropped by
/// chance, and from then on one of each `stride` consecutive ones is kept. The order stays, and
/// each has the same chance, so percentiles stay right. Nothing here allocates.
class LatencyLog {
 public:
  static constexpr std::uint64_t kBound = std::uint64_t{1} << 20;

  /// \param fd Of an empty file. \param bound Even.
  explicit LatencyLog(int fd, std::uint64_t bound = kBound) : fd_(fd), bound_(bound) {}

  /// \return kFileSystem, or kDevice if memory is full.
  Status append(const std::int64_t* latencies, std::uint64_t count);

  std::uint64_t timed() const { return timed_; }
  std::uint64_t kept() const { return kept_; }
  std::uint64_t stride() const { return stride_; }
  std::uint64_t bound() const { return bound_; }

 private:
  Status write(const std::int64_t* latencies, std::uint64_t count);
  Status halve();
  std::uint64_t random_below(std::uint64_t limit);

  int fd_;
  std::uint64_t bound_;
  std::uint64_t timed_ = 0;
  std::uint64_t kept_ = 0;
  std::uint64_t stride_ = 1;
  std::uint64_t pick_ = 0;  ///< Which of the current `stride` is kept.
  std::uint64_t random_ = 0x9e3779b97f4a7c15U;
};

}  // namespace edgesmith::harness
