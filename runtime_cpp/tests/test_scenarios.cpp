// Scenarios and options through the real program.
#include <cstring>
#include <nlohmann/json.hpp>

#include "affinity.hpp"
#include "check.hpp"
#include "edgesmith/samples.hpp"
#include "programs.hpp"
#include "queue_simulation.hpp"
#include "report_schema.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::Checks;

const std::string kHarness = EDGESMITH_TEST_HARNESS;
const std::string kData = EDGESMITH_TEST_DATA;

/// The report of a bench of the tiny model; checked against the schema, without an error.
json bench(Checks& checks, const std::vector<std::string>& more, int exit_code = 0) {
  std::vector<std::string> arguments{kHarness,        "bench",
                                     "--model",       kData + "/tiny.onnx",
                                     "--samples",     kData + "/tiny.safetensors",
                                     "--json",        "-",
                                     "--min-seconds", "0.1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = test::run_program(arguments);
  CHECK_EQUAL(result.exit_code, exit_code);
  json report = json::parse(result.output, nullptr, false);
  CHECK_EQUAL(test::schema_problem(EDGESMITH_TEST_SCHEMA, report), "");
  return report;
}

std::vector<std::int64_t> column(const SampleSource& file, const std::string& name) {
  const StoredTensor* stored = file.find(name);
  if (stored == nullptr) return {};
  const auto bytes = file.read(*stored);
  std::vector<std::int64_t> values(bytes->size() / sizeof(std::int64_t));
  std::memcpy(values.data(), bytes->data(), bytes->size());
  return values;
}

/// A million frames a second is more than any CPU does of a batch of 64: what the harness counted
/// agrees with a queue that is simulated from the service times alone.
void too_high_a_rate_agrees_with_a_simulation(Checks& checks) {
  const test::TemporaryFolder folder;
  const double rate = 1e6;
  const json report = bench(checks, {"--scenario", "fixed-rate:1000000", "--shape", "batch=64",
                                     "--samples-out", folder / "latencies"});
  const json& run = report["runs"][0];
  const json& found = run["processes"][0]["scenario"];
  const auto file = SampleSource::open(folder / "latencies");
  CHECK(file);
  if (!file) return;
  const std::vector<std::int64_t> services = column(*file, "service_ns/0/0");
  const std::vector<std::int64_t> latencies = column(*file, "latency_ns/0/0");
  CHECK(services.size() > 1000 && services.size() == found["frames"].get<std::size_t>());
  const test::QueueOutcome expected = test::simulate_queue(services, rate);
  const auto late = static_cast<double>(expected.late);
  CHECK_NEAR(found["late"].get<double>(), late, 0.01 * late);
  CHECK_NEAR(found["achieved_hz"].get<double>(), expected.achieved_hz, 0.01 * expected.achieved_hz);
  const auto waiting = static_cast<double>(expected.waiting);
  CHECK_NEAR(found["waiting"].get<double>(), waiting, 0.01 * waiting);
  const auto last = static_cast<double>(expected.latencies_ns.back());
  CHECK_NEAR(static_cast<double>(latencies.back()), last, 0.01 * last);
  CHECK(expected.late > services.size() / 2 && expected.achieved_hz < 0.95 * rate);
  bool told = false;
  for (const json& condition : run["conditions"]) {
    told = told || (condition["name"] == "rate_kept" && condition["passed"] == false);
  }
  CHECK(told);
  // Its latencies grow with the time measured, so there is none; the work on a frame has one.
  CHECK(run["latency"].is_null() && run["throughput_per_s"].get<double>() > 0);
  CHECK(run["reasons"]["latency"].get<std::string>().find("queue grew") != std::string::npos);
  CHECK(found["max_queue"] >= found["waiting"]);
}

/// A rate that is kept is never overtaken, and the sleeps before its frames are told.
void a_low_rate_is_kept(Checks& checks) {
  const json report = bench(checks, {"--scenario", "fixed-rate:50", "--min-iterations", "10"});
  const json& found = report["runs"][0]["scenario"];
  CHECK_EQUAL(found["frames"].get<int>(), 10);
  CHECK(found["achieved_hz"].get<double>() <= 50 * (1 + 1e-9));
  CHECK(!found["wake_delay"]["max_ns"].is_null());
  CHECK(report["runs"][0]["latency"].is_object());
}

void every_combination_is_a_run(Checks& checks) {
  const json report =
      bench(checks, {"--scenario", "single-stream", "--scenario", "offline:2", "--scenario",
                     "soak:0.2", "--threads", "1,2", "--processes", "2"});
  CHECK_EQUAL(report["runs"].size(), 6U);
  for (const json& run : report["runs"]) {
    const std::string scenario = run["requested"]["scenario"].get<std::string>();
    const std::string key = run["key"].get<std::string>();
    CHECK(key.substr(key.size() - scenario.size()) == scenario);
    CHECK_EQUAL(run["processes"].size(), scenario == "soak:0.2" ? 1U : 2U);
    CHECK(run["error"].is_null() && run["throughput_per_s"].get<double>() > 0);
    for (const json& process : run["processes"]) {
      CHECK(process["timing"]["kept"].get<std::uint64_t>() > 0);
      CHECK_EQUAL(process["timing"]["clock"]["steps_back"].get<int>(), 0);
    }
  }
  const json& streams = report["runs"][2]["processes"][0]["scenario"];
  CHECK(streams["window_s"].get<double>() > 0.05 && streams["streams"] == 2);
  const json& window = report["runs"][4]["processes"][0]["scenario"]["windows"][0];
  CHECK(window["resident_bytes"].get<std::uint64_t>() > 1'000'000);
}

void options_have_an_effect(Checks& checks) {
  const auto cpus = harness::allowed_cpus();
  CHECK(cpus && !cpus->empty());
  if (!cpus) return;
  const std::string last = std::to_string(cpus->back());
  const json report = bench(checks, {"--cpus", last, "--threads", "2", "--spinning", "off",
                                     "--arena", "off", "--scenario", "offline:2"});
  const json& run = report["runs"][0];
  CHECK_EQUAL(run["requested"]["cpus"].get<std::string>(), last);
  CHECK(run["effective"]["cpus"] == json::array({cpus->back()}));
  CHECK(run["processes"][0]["environment"]["before"]["affinity_cpus"] ==
        json::array({cpus->back()}));
  CHECK(run["effective"]["spinning"] == false && run["effective"]["arena"] == false);
  const json plain = bench(checks, {"--threads", "2"})["runs"][0];
  CHECK(!plain["requested"].contains("spinning") && plain["effective"]["spinning"].is_null());
  CHECK(plain["effective"]["arena"] == true && plain["effective"]["cpus"] == *cpus);
  const json refused = bench(checks, {"--cpus", "1023"}, 2);
  CHECK_EQUAL(refused["runs"][0]["error"]["stage"].get<std::string>(), "load");
}

}  // namespace

int main() {
  return test::run_all(
      {{"too_high_a_rate_agrees_with_a_simulation", too_high_a_rate_agrees_with_a_simulation},
       {"a_low_rate_is_kept", a_low_rate_is_kept},
       {"every_combination_is_a_run", every_combination_is_a_run},
       {"options_have_an_effect", options_have_an_effect}});
}
