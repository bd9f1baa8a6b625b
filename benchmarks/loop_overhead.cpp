// What the harness's timed loop adds to a bare one, with both in one process: they take turns in
// blocks, over several pairs of sessions, since where a session's memory lies moves its latency by
// more than the loop does.
//     loop_overhead MODEL.onnx SAMPLES.safetensors PAIRS SECONDS
// For each pair a line: the median of the harness's loop and of the bare one, in ns.
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "bare_session.hpp"
#include "series.hpp"
#include "session_settings.hpp"

namespace {

using namespace edgesmith;
using namespace edgesmith::harness;
using Latencies = std::vector<std::int64_t>;

constexpr std::size_t kBlock = 100;

[[noreturn]] void fail(const std::string& what) {
  std::cerr << what << '\n';
  std::exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result) fail(result.error().message);
  return std::move(*result);
}

void need(const Status& status) {
  if (!status) fail(status.error().message);
}

Session harness_session(const char* model) {
  WantedSession wanted;
  wanted.optimization_level = "all";
  return need(Session::open(model, need(session_settings(wanted))));
}

// The first sample, for as long as the session lives.
void feed(bare::Session& session, const SampleSource& source) {
  for (std::size_t i = 0; i < session.inputs().size(); ++i) {
    const StoredTensor* stored = source.find("inputs/" + session.inputs()[i]);
    if (stored == nullptr) fail("the samples lack the input " + session.inputs()[i]);
    need(source.read_sample(*stored, 0, session.input(i)));
  }
}

std::int64_t median(Latencies& latencies) {
  const auto middle = latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() / 2);
  std::nth_element(latencies.begin(), middle, latencies.end());
  return *middle;
}

void time_harness(Stream& stream, const Clock& clock, Block& block, Latencies& into) {
  need(block.time(stream, clock));
  into.insert(into.end(), block.latencies.begin(), block.latencies.end());
}

void time_bare(bare::Session& session, Latencies& into) {
  for (std::size_t i = 0; i < kBlock; ++i) into.push_back(session.time());
}

void compare(Session& session, bare::Session& plain, const SampleSource& source, double seconds) {
  ModelIo io = need(ModelIo::create(session, source, {}));
  feed(plain, source);
  const Clock clock = Clock::cheapest();
  Stream stream{session, io};
  Block block(kBlock);
  Latencies ours;
  Latencies theirs;
  time_harness(stream, clock, block, ours);
  time_bare(plain, theirs);
  ours.clear();
  theirs.clear();
  const std::int64_t begin = bare::now_ns();
  for (bool first = true; static_cast<double>(bare::now_ns() - begin) < seconds * 1e9;
       first = !first) {
    if (first) time_harness(stream, clock, block, ours);
    time_bare(plain, theirs);
    if (!first) time_harness(stream, clock, block, ours);
  }
  std::cout << median(ours) << ' ' << median(theirs) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const SampleSource source = need(SampleSource::open(argv[2]));
  const double seconds = std::atof(argv[4]);
  for (int pair = 0; pair < std::atoi(argv[3]); ++pair) {
    // Which of them lies first in memory changes with each pair.
    if (pair % 2 == 0) {
      Session session = harness_session(argv[1]);
      bare::Session plain(argv[1]);
      compare(session, plain, source, seconds);
    } else {
      bare::Session plain(argv[1]);
      Session session = harness_session(argv[1]);
      compare(session, plain, source, seconds);
    }
  }
}
