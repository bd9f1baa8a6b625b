// From the first timed inference to the last nothing of ours allocates, in any scenario. All
// allocations of the process are counted, those of the C++ library on our behalf included; what
// ONNX Runtime does inside Session::run() is its own.
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "check.hpp"
#include "file.hpp"
#include "fixed_rate.hpp"
#include "offline.hpp"
#include "series.hpp"

namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): the hooks below have no other
// place for what they count.
/// Of this thread; inferences and their surroundings never change threads.
thread_local std::uint64_t thread_allocations = 0;
thread_local std::uint64_t at_last_inference = 0;
thread_local bool in_runtime = false;
thread_local bool has_run = false;

std::atomic<std::uint64_t> between_inferences{0};
std::atomic<std::uint64_t> inferences{0};
std::atomic<bool> spoil{false};
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void count_allocation() {
  if (!in_runtime) ++thread_allocations;
}

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's names are
// reserved ones.
extern "C" {

void* __libc_malloc(std::size_t bytes);                          // NOLINT: glibc's name
void* __libc_calloc(std::size_t count, std::size_t bytes);       // NOLINT: glibc's name
void* __libc_realloc(void* memory, std::size_t bytes);           // NOLINT: glibc's name
void* __libc_memalign(std::size_t boundary, std::size_t bytes);  // NOLINT: glibc's name

void* malloc(std::size_t bytes) {
  count_allocation();
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) {
  count_allocation();
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, std::size_t bytes) {
  count_allocation();
  return __libc_realloc(memory, bytes);
}

void* aligned_alloc(std::size_t boundary, std::size_t bytes) {
  count_allocation();
  return __libc_memalign(boundary, bytes);
}

int posix_memalign(void** memory, std::size_t boundary, std::size_t bytes) {
  count_allocation();
  *memory = __libc_memalign(boundary, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

// The linker puts the first in place of Session::run(), and calls that by the second name.
// NOLINTNEXTLINE(misc-use-internal-linkage): the linker must see it.
edgesmith::Status counted_run(edgesmith::Session* session) asm(
    "__wrap__ZN9edgesmith7Session3runEv");
edgesmith::Status real_run(edgesmith::Session* session) asm("__real__ZN9edgesmith7Session3runEv");

edgesmith::Status counted_run(edgesmith::Session* session) {
  if (spoil) std::string(100, 'x').shrink_to_fit();
  if (has_run) between_inferences += thread_allocations - at_last_inference;
  in_runtime = true;
  edgesmith::Status status = real_run(session);
  in_runtime = false;
  has_run = true;
  at_last_inference = thread_allocations;
  ++inferences;
  return status;
}

namespace {

using namespace edgesmith;
using namespace edgesmith::harness;
using test::Checks;

const std::string kData = EDGESMITH_TEST_DATA;
const SeriesGoal kGoal{0.02, 500, 20'000};

/// A loaded model with its samples.
struct Loaded {
  Result<SampleSource> source = SampleSource::open(kData + "/tiny.safetensors");
  Result<Session> session = Session::open(kData + "/tiny.onnx", {});
  Result<ModelIo> io = ModelIo::create(*session, *source, {});
  Clock clock = Clock::cheapest();
  Descriptor file{::memfd_create("test", MFD_CLOEXEC)};
};

Status run_scenario(ScenarioKind kind, Loaded& loaded) {
  Stream stream{*loaded.session, *loaded.io};
  // Small, so that thinning happens.
  LatencyLog log(loaded.file.get(), 256);
  Result<nlohmann::json> found = Error{};
  switch (kind) {
    case ScenarioKind::kSingleStream:
      return run_single_stream(stream, loaded.clock, kGoal, log);
    case ScenarioKind::kSoak:
      found = run_soak(stream, loaded.clock, 2.1, kGoal.first_inference_ns, log);
      break;
    case ScenarioKind::kOffline:
      found = run_offline(stream, *loaded.source, {}, loaded.clock, {2, kGoal}, loaded.file.get());
      break;
    case ScenarioKind::kFixedRate:
      found = run_fixed_rate(stream, {20'000, 0.05, 500}, loaded.file.get());
      break;
  }
  if (!found) return found.error();
  return Done{};
}

/// Runs a scenario. \return the allocations between its inferences.
std::uint64_t allocations_of(Checks& checks, ScenarioKind kind) {
  Loaded loaded;
  between_inferences = 0;
  inferences = 0;
  has_run = false;
  CHECK(run_scenario(kind, loaded));
  CHECK(inferences >= 500);
  return between_inferences;
}

constexpr std::array<ScenarioKind, 4> kAll{ScenarioKind::kSingleStream, ScenarioKind::kOffline,
                                           ScenarioKind::kFixedRate, ScenarioKind::kSoak};

void nothing_allocates_between_inferences(Checks& checks) {
  for (const ScenarioKind kind : kAll) {
    checks.expect_equal(allocations_of(checks, kind), std::uint64_t{0}, scenario_kind_name(kind),
                        __FILE__, __LINE__);
  }
}

void an_allocation_is_seen(Checks& checks) {
  spoil = true;
  CHECK(allocations_of(checks, ScenarioKind::kSingleStream) >= 499);
  CHECK(allocations_of(checks, ScenarioKind::kOffline) >= 400);
  spoil = false;
}

}  // namespace

int main() {
  return test::run_all(
      {{"nothing_allocates_between_inferences", nothing_allocates_between_inferences},
       {"an_allocation_is_seen", an_allocation_is_seen}});
}
