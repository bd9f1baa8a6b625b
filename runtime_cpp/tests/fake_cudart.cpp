// A CUDA runtime whose device has the host's memory, and which fails when it is told to.
// The names are CUDA's, so the rule for ours is off.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): a library's state.
std::atomic<int> the_fault{EDGESMITH_TEST_FAULT};
std::atomic<int> live_buffers{0};
std::atomic<int> last_error{0};
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

// As test_copies.cpp numbers them.
constexpr int kNoMemory = 1;
constexpr int kCopyFails = 2;
constexpr int kSlowDevice = 3;
constexpr int kDeviceFails = 4;
constexpr int kSpoiledCopies = 5;

int failed(int error) {
  last_error = error;
  return error;
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming, misc-use-internal-linkage)
extern "C" {

void fakeFault(int fault) { the_fault = fault; }
int fakeLiveBuffers() { return live_buffers; }
int fakeLastError() { return last_error; }

int cudaSetDevice(int device) { return device == 0 ? 0 : failed(101); }

int cudaMalloc(void** memory, std::size_t bytes) {
  if (the_fault == kNoMemory) return failed(2);
  // NOLINTNEXTLINE(cppcoreguidelines-no-malloc, cppcoreguidelines-owning-memory): callers free it.
  *memory = std::malloc(bytes);
  ++live_buffers;
  return 0;
}

int cudaFree(void* memory) {
  // NOLINTNEXTLINE(cppcoreguidelines-no-malloc, cppcoreguidelines-owning-memory): see above.
  std::free(memory);
  --live_buffers;
  return 0;
}

int cudaMemcpy(void* to, const void* from, std::size_t bytes, int kind) {
  if (the_fault == kCopyFails) return failed(1);
  std::memcpy(to, from, bytes);
  if (the_fault == kSpoiledCopies && kind == 2) std::memset(to, 0x42, bytes);
  return 0;
}

int cudaDeviceSynchronize() {
  if (the_fault == kDeviceFails) return failed(700);
  if (the_fault == kSlowDevice) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return 0;
}

int cudaGetLastError() { return last_error.exchange(0); }

const char* cudaGetErrorString(int error) { return error == 2 ? "out of memory" : "fake error"; }
}
// NOLINTEND(readability-identifier-naming, misc-use-internal-linkage)
