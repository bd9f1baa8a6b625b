#include <cstdlib>

#include "check.hpp"
#include "gpu_like.hpp"
#include "gpu_observer.hpp"
#include "machine_conditions.hpp"
#include "programs.hpp"
#include "report_schema.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::Checks;

const std::string kData = EDGESMITH_TEST_DATA;
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

/// The input that a session computes is the one that its buffer holds now, not when it was bound.
void inputs_are_copied_for_each_inference(Checks& checks) {
  Result<Session> session = test::open_on_gpu(kData);
  CHECK(session);
  if (!session) return;
  std::vector<float> x{1, 2, 3, 4};
  std::vector<float> y(4);
  CHECK(session->bind_input("x", x.data(), {1, 4}));
  CHECK(session->bind_output("y", y.data(), {1, 4}));
  CHECK(session->run());
  CHECK(y == (std::vector<float>{1.5F, 1.75F, 4, 4}));
  x = {-1, 2, 0, 0.5F};
  CHECK(session->run());
  CHECK(y == (std::vector<float>{0, 1.75F, 1, 0.5F}));
  CHECK(session->bind_output_to_runtime("y"));
  for (const float first : {5.0F, 6.0F}) {
    x[0] = first;
    CHECK(session->run());
    const auto view = session->output("y");
    CHECK(view && view->bytes == 16);
    if (view) CHECK_EQUAL(static_cast<const float*>(view->data)[0], first + 0.5F);
  }
}

/// A run of the harness by that provider, with the CUDA runtime that lies in the file's folder.
json benched(Checks& checks, const std::string& cudart, int exit_code) {
  const char* libraries = std::getenv("LD_LIBRARY_PATH");
  const std::string folder = cudart.substr(0, cudart.rfind('/'));
  const auto result = test::run_program(
      {"/usr/bin/env",
       "LD_LIBRARY_PATH=" + folder + ":" + (libraries == nullptr ? "" : libraries),
       EDGESMITH_TEST_HARNESS,
       "bench",
       "--json",
       "-",
       "--model",
       kData + "/relu.onnx",
       "--samples",
       kData + "/relu.safetensors",
       "--provider",
       "cuda",
       "--provider-library",
       EDGESMITH_TEST_GPU_LIKE_PROVIDER,
       "--processes",
       "2",
       "--min-seconds",
       "0.01",
       "--min-iterations",
       "20"});
  CHECK_EQUAL(result.exit_code, exit_code);
  json report = json::parse(result.output, nullptr, false);
  CHECK_EQUAL(test::schema_problem(EDGESMITH_TEST_SCHEMA, report), "");
  return report.is_object() ? report["runs"][0] : json::object();
}

json condition_of(const json& run) {
  for (const json& condition : run.value("conditions", json::array())) {
    if (condition["name"] == "synchronized") return condition;
  }
  return json::object();
}

void reports_show_copies(Checks& checks) {
  const json run = benched(checks, EDGESMITH_TEST_FAKE_CUDART, 0);
  CHECK(run.contains("copies") && run["copies"]["rounds"] >= 10);
  CHECK(condition_of(run).value("passed", false));
  CHECK(run.contains("effective") && run["effective"].contains("copies_in_graph"));
}

void times_before_the_end_fail_the_run(Checks& checks) {
  const json run = benched(checks, EDGESMITH_TEST_SLOW_CUDART, 8);
  CHECK_EQUAL(run.value("verdict", ""), "failed");
  CHECK(run.contains("error") && run["error"].value("stage", "") == "plausibility");
  CHECK(!condition_of(run).value("passed", true));
}

}  // namespace

int main() {
  return test::run_all(
      {{"a_gpu_is_observed", a_gpu_is_observed},
       {"without_a_gpu", without_a_gpu},
       {"inputs_are_copied_for_each_inference", inputs_are_copied_for_each_inference},
       {"reports_show_copies", reports_show_copies},
       {"times_before_the_end_fail_the_run", times_before_the_end_fail_the_run}});
}
