#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "file.hpp"
#include "latency_histogram.hpp"
#include "series.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

constexpr std::size_t kWindows = 60;

/// Reads this process's resident memory without allocating.
class ResidentMemory {
 public:
  ResidentMemory() : statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}

  std::optional<std::uint64_t> bytes() const {
    std::array<char, 128> text{};
    const ssize_t got = statm_ ? ::pread(statm_.get(), text.data(), text.size(), 0) : -1;
    if (got <= 0) return std::nullopt;
    const char* end = text.data() + got;
    const char* second = std::find(static_cast<const char*>(text.data()), end, ' ');
    std::uint64_t pages = 0;
    if (second == end || std::from_chars(second + 1, end, pages).ec != std::errc()) {
      return std::nullopt;
    }
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }

 private:
  Descriptor statm_;
};

/// A stretch of the soak.
struct Window {
  std::int64_t end_ns = 0;  ///< Since the start.
  std::uint64_t count = 0;
  std::optional<std::int64_t> p50_ns;
  std::optional<std::int64_t> p99_ns;
  std::int64_t maximum_ns = 0;
  std::optional<std::uint64_t> resident_bytes;
};

/// Fills windows as time goes by.
class Windows {
 public:
  explicit Windows(double seconds)
      : length_ns_(static_cast<std::int64_t>(
            std::max(1.0, seconds / static_cast<double>(kWindows)) * 1e9)) {}

  void add(const std::vector<std::int64_t>& latencies, std::int64_t elapsed_ns) {
    for (const std::int64_t latency : latencies) histogram_.add(latency);
    if (elapsed_ns >= next_end_ns() && size_ + 1 < kWindows) close(elapsed_ns);
  }

  /// What is left belongs to the last window, unless it is too short for one of its own.
  void finish(std::int64_t elapsed_ns) {
    const std::int64_t last_ns = size_ == 0 ? 0 : windows_[size_ - 1].end_ns;
    if (histogram_.count() == 0) return;
    if (size_ == 0 || elapsed_ns - last_ns > length_ns_ / 2) close(elapsed_ns);
  }

  json document() const {
    json list = json::array();
    for (std::size_t i = 0; i < size_; ++i) list.push_back(window_json(windows_[i]));
    return list;
  }

 private:
  std::int64_t next_end_ns() const { return static_cast<std::int64_t>(size_ + 1) * length_ns_; }

  void close(std::int64_t elapsed_ns) {
    windows_[size_++] = {elapsed_ns,
                         histogram_.count(),
                         histogram_.quantile(0.5),
                         histogram_.quantile(0.99),
                         histogram_.maximum(),
                         memory_.bytes()};
    histogram_.clear();
  }

  static json window_json(const Window& window) {
    json result = {{"end_s", static_cast<double>(window.end_ns) / 1e9},
                   {"count", window.count},
                   {"max_ns", window.maximum_ns},
                   {"reasons", json::object()}};
    const auto put = [&](const char* key, const auto& value, const char* reason) {
      result[key] = value ? json(*value) : json(nullptr);
      if (!value) result["reasons"][key] = reason;
    };
    put("p50_ns", window.p50_ns, "too few inferences in this window");
    put("p99_ns", window.p99_ns, "too few inferences in this window");
    put("resident_bytes", window.resident_bytes, "the kernel does not tell");
    return result;
  }

  std::int64_t length_ns_;
  std::array<Window, kWindows> windows_{};
  std::size_t size_ = 0;
  LatencyHistogram histogram_;
  ResidentMemory memory_;
};

/// Blocks of some 50 ms: the clock is asked for the end of the soak between them.
std::size_t block_size(std::int64_t first_inference_ns) {
  const double first = static_cast<double>(std::max<std::int64_t>(1, first_inference_ns));
  return static_cast<std::size_t>(std::clamp(5e7 / first, 1.0, 4096.0));
}

}  // namespace

Result<json> run_soak(Stream& stream, const Clock& clock, double seconds,
                      std::int64_t first_inference_ns, LatencyLog& log) {
  Block block(block_size(first_inference_ns));
  const auto windows = std::make_unique<Windows>(seconds);
  const std::int64_t start = clock.now_ns();
  std::int64_t elapsed_ns = 0;
  while (static_cast<double>(elapsed_ns) < seconds * 1e9) {
    if (Status status = block.time(stream, clock); !status) return status.error();
    elapsed_ns = clock.now_ns() - start;
    if (Status status = log.append(block.latencies.data(), block.latencies.size()); !status) {
      return status.error();
    }
    windows->add(block.latencies, elapsed_ns);
  }
  windows->finish(elapsed_ns);
  return json{{"kind", "soak"},
              {"seconds", static_cast<double>(elapsed_ns) / 1e9},
              {"windows", windows->document()}};
}

}  // namespace edgesmith::harness
