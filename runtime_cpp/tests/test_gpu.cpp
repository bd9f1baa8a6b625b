#include "check.hpp"
#include "gpu_observer.hpp"
#include "machine_conditions.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::Checks;

const std::string kFakeNvml = EDGESMITH_TEST_FAKE_NVML;

/// A process with this GPU, on a machine that tells nothing else.
json process_with(const json& gpu) {
  return {{"environment",
           {{"before", {{"throttle_count", 0}}},
            {"during", {{"gpu", gpu}}},
            {"after", {{"throttle_count", 0}}}}}};
}

void a_gpu_is_observed(Checks& checks) {
  harness::GpuObserver observer(kFakeNvml);
  for (int i = 0; i < 3; ++i) observer.observe();
  const json result = observer.result();
  CHECK_EQUAL(result["name"].get<std::string>(), "Fake");
  CHECK_EQUAL(result["clock_mhz"]["max"].get<int>(), 1500);
  CHECK_EQUAL(result["temperature_celsius"]["min"].get<int>(), 60);
  CHECK_EQUAL(result["temperature_celsius"]["max"].get<int>(), 62);
  CHECK_NEAR(result["energy_joules"].get<double>(), 0.5, 1e-9);
  CHECK_EQUAL(result["clock_event_reasons"].get<int>(), 0x45);
  CHECK(result["power_milliwatts"].is_null());
  CHECK(!result["reasons"]["power_milliwatts"].get<std::string>().empty());
  const auto hot = harness::not_throttled(json::array({process_with(result)}), json::object());
  CHECK(hot.passed == false && hot.advice.find("GPU") != std::string::npos);
  json cool = result;
  cool["clock_event_reasons"] = 0x5;
  CHECK(harness::not_throttled(json::array({process_with(cool)}), json::object()).passed == true);
}

void without_a_gpu(Checks& checks) {
  harness::GpuObserver observer("libedgesmith-no-such.so");
  observer.observe();
  const json result = observer.result();
  CHECK(result["name"].is_null());
  CHECK(!result["reasons"]["name"].get<std::string>().empty());
  CHECK(!Nvml::open(kFakeNvml, 1));
  CHECK(harness::not_throttled(json::array({process_with(result)}), json::object()).passed == true);
}

}  // namespace

int main() {
  return test::run_all(
      {{"a_gpu_is_observed", a_gpu_is_observed}, {"without_a_gpu", without_a_gpu}});
}
