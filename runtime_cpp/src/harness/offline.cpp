#include "offline.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "file.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

struct Inference {
  std::int64_t end_ns = 0;
  std::int64_t latency_ns = 0;
};

/// What all streams see.
struct Shared {
  std::atomic<int> ready{0};
  std::atomic<int> unfinished{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> full{false};
  std::int64_t min_ns = 0;
  std::uint64_t min_iterations = 0;  ///< Of each stream.
};

/// One thread's work and what it found.
struct Worker {
  Stream stream;
  std::vector<Inference> inferences;
  std::size_t count = 0;
  std::int64_t start_ns = 0;
  std::optional<Error> error;

  void work(const Clock& clock, Shared& shared) {
    shared.ready.fetch_sub(1);
    while (shared.ready.load() > 0) std::this_thread::yield();
    start_ns = clock.now_ns();
    bool finished = false;
    while (!shared.stop.load(std::memory_order_relaxed)) {
      if (!one(clock)) break;
      const bool enough = count >= shared.min_iterations &&
                          inferences[count - 1].end_ns - start_ns >= shared.min_ns;
      if (enough && !finished) {
        finished = true;
        if (shared.unfinished.fetch_sub(1) == 1) shared.stop.store(true);
      }
      if (count == inferences.size()) {
        if (!finished) shared.full.store(true);
        break;
      }
    }
    // Alone, the others would be faster.
    shared.stop.store(true);
  }

 private:
  bool one(const Clock& clock) {
    Status loaded = stream.load_next();
    const std::int64_t start = clock.now_ns();
    Status status = loaded ? stream.session.run() : std::move(loaded);
    const std::int64_t end = clock.now_ns();
    if (!status) {
      error = status.error();
      return false;
    }
    inferences[count++] = {end, end - start};
    return true;
  }
};

/// Inferences per second while all streams work, each stream's from its own first to last end.
double throughput(const std::vector<Worker>& workers, std::int64_t from, std::int64_t to) {
  double sum = 0;
  for (const Worker& worker : workers) {
    const auto end = worker.inferences.begin() + static_cast<std::ptrdiff_t>(worker.count);
    const auto first = std::find_if(worker.inferences.begin(), end,
                                    [&](const Inference& one) { return one.end_ns >= from; });
    const auto beyond = std::find_if(first, end, [&](const auto& one) { return one.end_ns > to; });
    const auto count = beyond - first;
    if (count < 2) {
      sum += static_cast<double>(count) * 1e9 / static_cast<double>(to - from);
    } else {
      const std::int64_t lasted = (beyond - 1)->end_ns - first->end_ns;
      sum += static_cast<double>(count - 1) * 1e9 / static_cast<double>(lasted);
    }
  }
  return sum;
}

/// Latencies in the order of their ends, while all streams worked.
std::vector<std::int64_t> merged(const std::vector<Worker>& workers, std::int64_t to) {
  std::vector<Inference> all;
  for (const Worker& worker : workers) {
    all.insert(all.end(), worker.inferences.begin(),
               worker.inferences.begin() + static_cast<std::ptrdiff_t>(worker.count));
  }
  std::sort(all.begin(), all.end(),
            [](const Inference& a, const Inference& b) { return a.end_ns < b.end_ns; });
  std::vector<std::int64_t> latencies;
  for (const Inference& one : all) {
    if (one.end_ns <= to) latencies.push_back(one.latency_ns);
  }
  return latencies;
}

/// Room for what the streams can do in that time, within the bound.
std::size_t room(Stream& stream, const Clock& clock, const OfflineGoal& goal) {
  constexpr int kTries = 5;
  std::int64_t best = std::max<std::int64_t>(1, goal.series.first_inference_ns);
  for (int i = 0; i < kTries; ++i) {
    const std::int64_t start = clock.now_ns();
    // An inference that fails will fail again, where it is reported.
    static_cast<void>(static_cast<bool>(stream.session.run()));
    best = std::clamp<std::int64_t>(clock.now_ns() - start, 1, best);
  }
  const auto streams = static_cast<double>(goal.streams);
  const double expected = 2 * goal.series.min_seconds * 1e9 / static_cast<double>(best) +
                          2 * static_cast<double>(goal.series.min_iterations) / streams;
  const double bound = static_cast<double>(kMostOfflineInferences) / streams;
  return static_cast<std::size_t>(std::clamp(expected + 16, 16.0, bound));
}

/// Streams beside the first one.
struct Others {
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::unique_ptr<ModelIo>> ios;
};

Result<Others> make_others(const Stream& first, const SampleSource& source, const Shape& shape,
                           int count) {
  Others others;
  for (int i = 0; i < count; ++i) {
    Result<Session> session = first.session.stream();
    if (!session) return session.error();
    others.sessions.push_back(std::make_unique<Session>(std::move(*session)));
    Result<ModelIo> io = ModelIo::create(*others.sessions.back(), source, shape);
    if (!io) return io.error();
    others.ios.push_back(std::make_unique<ModelIo>(std::move(*io)));
  }
  return others;
}

/// Runs the workers to their end. \return the first error.
std::optional<Error> run_all(std::vector<Worker>& workers, const Clock& clock, Shared& shared) {
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (Worker& worker : workers) {
    threads.emplace_back([&worker, &clock, &shared] { worker.work(clock, shared); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Worker& worker : workers) {
    if (worker.error) return worker.error;
  }
  return std::nullopt;
}

}  // namespace

Result<json> run_offline(Stream& first, const SampleSource& source, const Shape& shape,
                         const Clock& clock, const OfflineGoal& goal, int fd) {
  Result<Others> others = make_others(first, source, shape, goal.streams - 1);
  if (!others) return others.error();
  const std::vector<Inference> records(room(first, clock, goal));
  std::vector<Worker> workers;
  workers.push_back({first, records, 0, 0, std::nullopt});
  for (std::size_t i = 0; i < others->sessions.size(); ++i) {
    const Stream stream{*others->sessions[i], *others->ios[i],
                        static_cast<std::int64_t>(i + 1) % first.io.sample_count()};
    workers.push_back({stream, records, 0, 0, std::nullopt});
  }
  const auto streams = static_cast<std::uint64_t>(goal.streams);
  Shared shared;
  shared.ready = goal.streams;
  shared.unfinished = goal.streams;
  // A tenth more: the throughput is taken over what follows the first tenth.
  shared.min_ns = static_cast<std::int64_t>(goal.series.min_seconds * 1e9 / 0.9);
  shared.min_iterations = (goal.series.min_iterations + streams - 1) / streams;
  if (const auto error = run_all(workers, clock, shared)) return *error;
  std::int64_t start = workers[0].start_ns;
  std::int64_t end = workers[0].inferences[workers[0].count - 1].end_ns;
  for (const Worker& worker : workers) {
    start = std::max(start, worker.start_ns);
    end = std::min(end, worker.inferences[worker.count - 1].end_ns);
  }
  const std::int64_t from = start + (end - start) / 10;
  const std::vector<std::int64_t> latencies = merged(workers, end);
  Status written = write_all(fd, latencies.data(), latencies.size() * sizeof(latencies[0]));
  if (!written) return written.error();
  return json{{"kind", "offline"},
              {"streams", goal.streams},
              {"inferences", latencies.size()},
              {"window_s", static_cast<double>(end - from) / 1e9},
              {"inferences_per_s", throughput(workers, from, end)},
              {"ended_by", shared.full.load() ? "memory" : "goal"}};
}

}  // namespace edgesmith::harness
