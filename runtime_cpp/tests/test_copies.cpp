// Copies to a device and back, over a CUDA runtime that is none: its device has the host's memory,
// so that a session on the CPU can be bound to it.
#include <dlfcn.h>

#include <cmath>

#include "check.hpp"
#include "copies.hpp"
#include "gpu_like.hpp"
#include "output_difference.hpp"
#include "plausibility.hpp"

namespace {

using namespace edgesmith;
using namespace edgesmith::harness;
using nlohmann::json;
using test::Checks;

const std::string kData = EDGESMITH_TEST_DATA;
const std::string kFakeCudart = EDGESMITH_TEST_FAKE_CUDART;

enum class Fault { kNone, kNoMemory, kCopyFails, kSlowDevice, kDeviceFails, kSpoiledCopies };

/// The fake library, which stays loaded as the provider's does.
class FakeDevice {
 public:
  FakeDevice() : handle_(::dlopen(kFakeCudart.c_str(), RTLD_NOW | RTLD_LOCAL)) {}
  FakeDevice(const FakeDevice&) = delete;
  FakeDevice& operator=(const FakeDevice&) = delete;
  ~FakeDevice() {
    set(Fault::kNone);
    ::dlclose(handle_);
  }

  void set(Fault fault) const { function<void (*)(int)>("fakeFault")(static_cast<int>(fault)); }
  int live_buffers() const { return function<int (*)()>("fakeLiveBuffers")(); }
  int last_error() const { return function<int (*)()>("fakeLastError")(); }

 private:
  template <typename Function>
  Function function(const char* name) const {
    return reinterpret_cast<Function>(::dlsym(handle_, name));
  }
  void* handle_;
};

CopySetup fake_setup() { return {MemoryPlace{}, {"libedgesmith-no-such.so", kFakeCudart}}; }

/// The tiny model on the CPU, measured with a fault of the device.
Result<FoundCopies> measured(Fault fault, const CopySetup& setup = fake_setup()) {
  const FakeDevice device;
  device.set(fault);
  Result<SampleSource> source = SampleSource::open(kData + "/tiny.safetensors");
  if (!source) return source.error();
  Result<Session> session = Session::open(kData + "/tiny.onnx", {});
  if (!session) return session.error();
  Result<ModelIo> io = ModelIo::create(*session, *source, {});
  if (!io) return io.error();
  Result<FoundCopies> found = measure_copies(*session, *io, Clock::cheapest(), setup);
  if (device.live_buffers() != 0) return Error{ErrorCode::kDevice, "buffers were not freed"};
  if (device.last_error() != 0) return Error{ErrorCode::kDevice, "an error was left behind"};
  return found;
}

void copies_are_counted_apart(Checks& checks) {
  const auto found = measured(Fault::kNone);
  CHECK(found && found->figures.is_object());
  if (!found || !found->figures.is_object()) return;
  const json& figures = found->figures;
  CHECK_EQUAL(figures["host_to_device"]["bytes"].get<int>(), 4 * 4);
  CHECK_EQUAL(figures["device_to_host"]["bytes"].get<int>(), 7 * 4);
  for (const char* way : {"host_to_device", "device_to_host"}) {
    CHECK(figures[way]["median_ns"].get<double>() > 0);
  }
  CHECK(figures["on_device_ns"].get<double>() > 0);
  CHECK(figures["rounds"].get<int>() >= 10 && figures["rounds"].get<int>() <= 100);
  CHECK_EQUAL(figures["output_difference"].get<double>(), 0.0);
  const json run = {{"copies", figures}};
  CHECK(synchronized(run).passed == true);
  CHECK(check_synchronized(run));
}

void without_copies_there_is_a_reason(Checks& checks) {
  CopySetup setup = fake_setup();
  setup.libraries = {"libedgesmith-no-such.so"};
  auto found = measured(Fault::kNone, setup);
  CHECK(found && found->figures.is_null());
  CHECK(found && found->reason.find("libedgesmith-no-such.so") != std::string::npos);
  setup = fake_setup();
  setup.place.device = 1;
  found = measured(Fault::kNone, setup);
  CHECK(found && found->figures.is_null() && found->reason.find("101") != std::string::npos);
  found = measured(Fault::kNoMemory);
  CHECK(found && found->reason.find("out of memory") != std::string::npos);
  if (!found) return;
  const Condition told =
      synchronized({{"copies", nullptr}, {"reasons", {{"copies", found->reason}}}});
  CHECK(!told.passed && told.advice.find("out of memory") != std::string::npos);
}

void a_device_that_fails_fails_the_run(Checks& checks) {
  for (const Fault fault : {Fault::kCopyFails, Fault::kDeviceFails}) {
    const auto found = measured(fault);
    CHECK(!found && found.error().code == ErrorCode::kHarness);
    CHECK(!found && found.error().message.find("fake error") != std::string::npos);
  }
  const auto spoiled = measured(Fault::kSpoiledCopies);
  CHECK(!spoiled && spoiled.error().code == ErrorCode::kHarness);
  CHECK(!spoiled && spoiled.error().message.find("differ") != std::string::npos);
}

void times_before_the_end_are_found(Checks& checks) {
  const auto found = measured(Fault::kSlowDevice);
  CHECK(found);
  if (!found) return;
  const json run = {{"copies", found->figures}};
  const Condition condition = synchronized(run);
  CHECK(condition.passed == false && condition.finding->value > 1000);
  const Status status = check_synchronized(run);
  CHECK(!status && status.error().message.find("before the GPU had finished") != std::string::npos);
  CHECK(check_synchronized({{"latency", nullptr}}));
}

void the_limit_of_waiting(Checks& checks) {
  const auto passes = [](double inference_us, double wait_us) {
    return synchronized(
               {{"copies",
                 {{"on_device_ns", 1000 * inference_us}, {"synchronize_ns", 1000 * wait_us}}}})
        .passed;
  };
  CHECK(passes(100, 19) == true);  // A fifth, but as little as asking takes.
  CHECK(passes(100, 21) == false);
  CHECK(passes(9600, 400) == true);
  CHECK(passes(9400, 600) == false);
}

std::vector<unsigned char> bytes_of(const std::vector<float>& values) {
  const auto* data = reinterpret_cast<const unsigned char*>(values.data());
  return {data, data + values.size() * sizeof(float)};
}

void a_session_is_bound_to_its_own_memory(Checks& checks) {
  const FakeDevice device;
  Result<Session> session = test::open_on_gpu(kData);
  const auto source = SampleSource::open(kData + "/relu.safetensors");
  CHECK(session && source);
  if (!session || !source) return;
  Result<ModelIo> io = ModelIo::create(*session, *source, {});
  std::optional<CopySetup> setup =
      copy_setup(*session, {{"cpu", {{"device_id", "3"}}, {}, {}}, {"cuda", {}, {}, {}}});
  CHECK(io && setup);
  if (!io || !setup) return;
  CHECK(setup->place.name == "Cuda" && setup->place.device == 0);
  setup->libraries = {kFakeCudart};
  const auto found = measure_copies(*session, *io, Clock::cheapest(), *setup);
  CHECK(found && found->figures.is_object());
  if (!found) std::cerr << found.error().message << "\n";
  CHECK_EQUAL(copy_setup(*session, {{"cuda", {{"device_id", "3"}}, {}, {}}})->place.device, 3);
}

void differences_of_outputs(Checks& checks) {
  const auto between = [](const std::vector<float>& a, const std::vector<float>& b) {
    return output_difference(DataType::kFloat32, bytes_of(a), bytes_of(b));
  };
  CHECK_EQUAL(between({1, -4}, {1, -4}), 0.0);
  CHECK_NEAR(between({1, -4}, {1.5F, -4}), 0.125, 1e-9);
  CHECK_EQUAL(between({NAN, INFINITY, 0.0F}, {NAN, INFINITY, -0.0F}), 0.0);
  for (const std::vector<float>& other :
       std::vector<std::vector<float>>{{NAN, 1}, {INFINITY, 1}, {2}}) {
    CHECK(std::isinf(between({2, 1}, other)) && std::isinf(between(other, {2, 1})));
  }
  CHECK(std::isinf(between({0, 0}, {0, 1e-9F})));
}

void who_has_a_gpu(Checks& checks) {
  auto session = Session::open(kData + "/tiny.onnx", {});
  CHECK(session && !copy_setup(*session, {}));
  CHECK(has_gpu_memory("cuda") && has_gpu_memory("tensorrt") && !has_gpu_memory("openvino"));
}

}  // namespace

int main() {
  return test::run_all(
      {{"copies_are_counted_apart", copies_are_counted_apart},
       {"without_copies_there_is_a_reason", without_copies_there_is_a_reason},
       {"a_device_that_fails_fails_the_run", a_device_that_fails_fails_the_run},
       {"times_before_the_end_are_found", times_before_the_end_are_found},
       {"the_limit_of_waiting", the_limit_of_waiting},
       {"a_session_is_bound_to_its_own_memory", a_session_is_bound_to_its_own_memory},
       {"differences_of_outputs", differences_of_outputs},
       {"who_has_a_gpu", who_has_a_gpu}});
}
