#include "latency_log.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "file.hpp"

namespace edgesmith::harness {
namespace {

constexpr std::size_t kChunk = 1024;
using Chunk = std::array<std::int64_t, kChunk>;

off_t place_of(std::uint64_t index) { return static_cast<off_t>(index * sizeof(std::int64_t)); }

/// pread() or pwrite() of everything, through interruptions and short transfers.
template <typename Transfer, typename Byte>
bool transfer_all(Transfer transfer, int fd, Byte* data, std::size_t bytes, off_t place) {
  while (bytes > 0) {
    const ssize_t done = transfer(fd, data, bytes, place);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    data += done;
    bytes -= static_cast<std::size_t>(done);
    place += done;
  }
  return true;
}

bool read_at(int fd, std::int64_t* values, std::uint64_t count, std::uint64_t index) {
  return transfer_all(::pread, fd, reinterpret_cast<char*>(values),
                      static_cast<std::size_t>(count * sizeof(*values)), place_of(index));
}

bool write_at(int fd, const std::int64_t* values, std::uint64_t count, std::uint64_t index) {
  return transfer_all(::pwrite, fd, reinterpret_cast<const char*>(values),
                      static_cast<std::size_t>(count * sizeof(*values)), place_of(index));
}

}  // namespace

/// xorshift64*: the choice need not be good, only blind to what the latencies are.
std::uint64_t LatencyLog::random_below(std::uint64_t limit) {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return ((random_ * 0x2545f4914f6cdd1dU) >> 32) % limit;
}

Status LatencyLog::append(const std::int64_t* latencies, std::uint64_t count) {
  Chunk chunk{};
  std::size_t filled = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t position = timed_ % stride_;
    if (position == 0) pick_ = stride_ == 1 ? 0 : random_below(stride_);
    ++timed_;
    if (position == pick_) chunk[filled++] = latencies[i];
    const bool is_full = kept_ + filled == bound_;
    if (filled < chunk.size() && !is_full && i + 1 < count) continue;
    if (Status status = write(chunk.data(), filled); !status) return status;
    filled = 0;
    if (is_full) {
      if (Status status = halve(); !status) return status;
    }
  }
  return Done{};
}

Status LatencyLog::write(const std::int64_t* latencies, std::uint64_t count) {
  if (!write_at(fd_, latencies, count, kept_)) return system_error("cannot keep the latencies");
  kept_ += count;
  return Done{};
}

Status LatencyLog::halve() {
  Chunk chunk{};
  for (std::uint64_t from = 0; from < kept_; from += chunk.size()) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), kept_ - from));
    if (!read_at(fd_, chunk.data(), count, from)) return system_error("cannot thin the latencies");
    for (std::size_t i = 0; i < count / 2; ++i) {
      chunk[i] = chunk[2 * i + static_cast<std::size_t>(random_below(2))];
    }
    if (!write_at(fd_, chunk.data(), count / 2, from / 2)) {
      return system_error("cannot thin the latencies");
    }
  }
  kept_ /= 2;
  stride_ *= 2;
  // What is left of the current stride has its representative already.
  pick_ = stride_;
  if (::ftruncate(fd_, place_of(kept_)) != 0) return system_error("cannot thin the latencies");
  return Done{};
}

}  // namespace edgesmith::harness
