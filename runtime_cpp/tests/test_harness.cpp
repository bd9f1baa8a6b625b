#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "check.hpp"
#include "edgesmith/samples.hpp"
#include "edgesmith/session.hpp"
#include "fake_bundle.hpp"
#include "programs.hpp"
#include "report_schema.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::Checks;
using test::run_program;

const std::string kHarness = EDGESMITH_TEST_HARNESS;
const std::string kData = EDGESMITH_TEST_DATA;

std::vector<std::string> bench(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{kHarness, "bench", "--min-seconds", "0.02"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<std::string> loose(const std::string& model = "tiny.onnx") {
  return {"--model", kData + "/" + model, "--samples", kData + "/tiny.safetensors"};
}

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Parses a report and checks it against the schema.
json report_of(Checks& checks, const std::string& text) {
  const json report = json::parse(text, nullptr, false);
  const std::string problem = test::schema_problem(EDGESMITH_TEST_SCHEMA, report);
  checks.expect(problem.empty(), "the report fits its schema: " + problem, __FILE__, __LINE__);
  return report;
}

/// A bundle folder with the harness in it.
void lay_out(const test::TemporaryFolder& folder, const test::FakeBundle& bundle) {
  for (const auto& file : bundle.files) test::write_text(folder / file.path, file.content);
  test::write_text(folder / "manifest.json", bundle.manifest);
  std::filesystem::create_directories(folder / "bin");
  std::filesystem::copy_file(kHarness, folder / "bin/harness");
}

test::FakeBundle tiny_bundle(std::uint64_t multiply_adds = 0) {
  const std::string model = test::read_text(kData + "/tiny.onnx");
  return test::make_bundle(
      1,
      {{"model/fp32.onnx", model, "bench"},
       {"model/int8.onnx", model, "model"},
       {"golden/samples.safetensors", test::read_text(kData + "/tiny.safetensors"), "golden"}},
      "1.0", "1", multiply_adds);
}

void usage_errors(Checks& checks) {
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"benhc"},
      {"bench", "--varian=x", "--nonsense"},
      {"bench", "--threads", "x"},
      {"bench", "--threads", "1,2,1"},
      {"bench", "--variant", "a,a"},
      {"bench", "--end-with-parent", "0"},
      {"bench", "--scenario", "offline:2", "--scenario", "offline:2"},
      {"bench", "--shape", "batch"},
      {"bench", "--processes", "0"},
      {"bench", "--model", "m.onnx"},
      {"bench", "--engine-cache", ""},
      {"verify", "--threads", "1"},
      {"info", "extra"}};
  for (const auto& arguments : wrong) {
    CHECK_EQUAL(run_program(joined({kHarness}, arguments)).exit_code, 2);
  }
  CHECK_EQUAL(run_program({kHarness, "--help"}).exit_code, 0);
}

void bench_of_loose_files(Checks& checks) {
  const test::TemporaryFolder folder;
  const auto result =
      run_program(joined(bench({"--json", "-", "--processes", "2", "--shape", "batch=1", "--shape",
                                "batch=3", "--profile", "--samples-out", folder / "latencies"}),
                         loose()));
  CHECK_EQUAL(result.exit_code, 0);
  const json report = report_of(checks, result.output);
  CHECK_EQUAL(report["runs"].size(), 2U);
  for (const json& run : report["runs"]) {
    CHECK(run["error"].is_null() && run["processes"].size() == 2);
    CHECK_EQUAL(run["accuracy"][0]["value"].get<double>(), 15.0 / 16.0);
    CHECK(run["profile"].is_array() && !run["profile"].empty());
    CHECK(run["effective"]["placement"]["CPUExecutionProvider"].get<int>() >= 1);
  }
  CHECK_EQUAL(report["runs"][1]["effective"]["batch"].get<int>(), 3);
  const auto latencies = SampleSource::open(folder / "latencies");
  CHECK(latencies && latencies->find("latency_ns/1/1") != nullptr);
}

void bench_of_a_bundle(Checks& checks) {
  const test::TemporaryFolder folder;
  lay_out(folder, tiny_bundle());
  const std::vector<std::string> command{
      folder / "bin/harness", "bench", "--min-seconds", "0.02", "--json", folder / "report.json"};
  CHECK_EQUAL(run_program(command).exit_code, 0);
  const json report = report_of(checks, test::read_text(folder / "report.json"));
  CHECK_EQUAL(report["context"]["bundle"]["id"].get<std::string>(), tiny_bundle().id);
  CHECK_EQUAL(report["runs"].size(), 2U);
  CHECK_EQUAL(report["comparisons"].size(), 1U);
  CHECK_EQUAL(report["comparisons"][0]["accuracy_loss"]["value"].get<double>(), 0.0);
  CHECK_EQUAL(run_program(joined(command, {"--variant", "none"})).exit_code, 2);
  CHECK_EQUAL(run_program({folder / "bin/harness", "verify"}).exit_code, 0);
  std::ofstream(folder / "model/int8.onnx", std::ios::app) << "x";
  CHECK_EQUAL(run_program(command).exit_code, 7);
  report_of(checks, test::read_text(folder / "report.json"));
  CHECK_EQUAL(run_program({folder / "bin/harness", "verify"}).exit_code, 7);
}

/// Each variant gives its outputs once; what the harness does not compute it leaves to others.
void outputs_of_each_variant(Checks& checks) {
  const test::TemporaryFolder folder;
  test::FakeBundle bundle = tiny_bundle();
  const std::string metrics = R"("metrics":["top1"])";
  bundle.manifest.replace(bundle.manifest.find(metrics), metrics.size(),
                          R"("metrics":["metrics.py:score","top1"])");
  lay_out(folder, bundle);
  std::filesystem::create_directories(folder / "outputs");
  const std::vector<std::string> command{
      folder / "bin/harness", "bench", "--min-seconds", "0.02", "--threads", "1,2",
      "--processes",          "2",     "--json",        "-"};
  const auto good = run_program(joined(command, {"--outputs-folder", folder / "outputs"}));
  CHECK_EQUAL(good.exit_code, 0);
  const json report = report_of(checks, good.output);
  CHECK_EQUAL(report["runs"].size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    const json& run = report["runs"][i];
    CHECK_EQUAL(run.contains("outputs"), i % 2 == 0);
    if (i % 2 != 0) continue;
    const std::string name = run["outputs"]["file"].get<std::string>();
    CHECK_EQUAL(name, run["requested"]["variant"].get<std::string>() + ".safetensors");
    const auto outputs = SampleSource::open(folder / ("outputs/" + name));
    CHECK(outputs && outputs->check_samples());
  }
  const json& comparison = report["comparisons"][0];
  CHECK(comparison["accuracy_loss"]["value"].is_null());
  CHECK(comparison["advice"].get<std::string>().find("score") == std::string::npos);
  const auto bad = run_program(joined(command, {"--outputs-folder", folder / "absent"}));
  CHECK_EQUAL(bad.exit_code, 0);
  const json unwritten = report_of(checks, bad.output);
  for (const json& run : unwritten["runs"]) {
    CHECK(run["latency"].is_object() && run["outputs"]["file"].is_null());
    CHECK(run["outputs"]["reason"].get<std::string>().find("absent") != std::string::npos);
  }
  CHECK_EQUAL(run_program(joined(command, {"--outputs-folder", "a", "--outputs", "b"})).exit_code,
              2);
}

void impossible_times_fail(Checks& checks) {
  // The model has 28 multiply-adds; with 10^15 it would take minutes.
  for (const std::uint64_t multiply_adds : {std::uint64_t{28}, std::uint64_t{1} << 50}) {
    const test::TemporaryFolder folder;
    lay_out(folder, tiny_bundle(multiply_adds));
    const auto result = run_program({folder / "bin/harness", "bench", "--min-seconds", "0.02",
                                     "--variant", "int8", "--json", "-"});
    const json report = report_of(checks, result.output);
    const json& run = report["runs"][0];
    const bool possible = multiply_adds == 28;
    CHECK_EQUAL(result.exit_code, possible ? 0 : 8);
    CHECK_EQUAL(run["verdict"] == "failed", !possible);
    if (possible) continue;
    CHECK_EQUAL(run["error"]["stage"].get<std::string>(), "plausibility");
    CHECK(run["latency"].is_object());
  }
}

void failures_are_reported(Checks& checks) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "bad.onnx", "no model");
  const std::vector<std::string> samples{"--samples", kData + "/tiny.safetensors"};
  auto result =
      run_program(joined(bench({"--json", "-", "--model", folder / "bad.onnx"}), samples));
  CHECK_EQUAL(result.exit_code, 3);
  json report = report_of(checks, result.output);
  CHECK_EQUAL(report["runs"][0]["verdict"].get<std::string>(), "failed");
  CHECK_EQUAL(report["runs"][0]["error"]["stage"].get<std::string>(), "load");
  result = run_program(joined(bench({"--json", "-", "--shape", "width=3"}), loose()));
  CHECK_EQUAL(result.exit_code, 3);
  report_of(checks, result.output);
  result = run_program(joined(bench({"--json", "/nonexistent/report.json"}), loose()));
  CHECK_EQUAL(result.exit_code, 10);
  CHECK_EQUAL(report_of(checks, result.output)["exit_code"].get<int>(), 10);
  result = run_program(
      joined(bench({"--json", "-", "--provider", "openvino", "--require-provider"}), loose()));
  CHECK_EQUAL(result.exit_code, 8);
  report_of(checks, result.output);
}

void interruption_is_reported(Checks& checks) {
  const auto result = run_program(
      joined(bench({"--json", "-", "--min-seconds", "60", "--processes", "2"}), loose()), 500);
  CHECK_EQUAL(result.exit_code, 130);
  const json report = report_of(checks, result.output);
  CHECK_EQUAL(report["runs"][0]["error"]["stage"].get<std::string>(), "interrupted");
}

/// A program that is killed outright can't tell the harness that it started.
void the_end_of_the_parent_ends_it(Checks& checks) {
  std::vector<std::string> arguments{"/bin/sh", "-c", "\"$@\" --end-with-parent $$ & sleep 0.5",
                                     "sh"};
  const auto measuring = joined(bench({"--json", "-", "--min-seconds", "60"}), loose());
  const auto started = std::chrono::steady_clock::now();
  // It is over when nobody holds stdout any more.
  const auto result = run_program(joined(arguments, measuring));
  CHECK(std::chrono::steady_clock::now() - started < std::chrono::seconds(20));
  const json report = report_of(checks, result.output);
  CHECK_EQUAL(report["runs"][0]["error"]["stage"].get<std::string>(), "interrupted");
}

void emulated_makes_no_claims(Checks& checks) {
  const test::TemporaryFolder folder;
  const auto result =
      run_program(joined(bench({"--json", "-", "--emulated", "--profile", "--scenario",
                                "fixed-rate:50", "--samples-out", folder / "samples"}),
                         loose()));
  CHECK_EQUAL(result.exit_code, 0);
  const json report = report_of(checks, result.output);
  const json& run = report["runs"][0];
  CHECK_EQUAL(run["verdict"].get<std::string>(), "emulated");
  CHECK(run["latency"].is_null() && run["profile"].is_null() && run["accuracy"].is_array());
  CHECK(!run.contains("scenario") && !std::filesystem::exists(folder / "samples"));
  for (const json& process : run["processes"]) {
    for (const char* field : {"load_ns", "first_inference_ns", "warmup", "latency", "memory"}) {
      CHECK(process[field].is_null());
    }
  }
}

void verify_judges(Checks& checks) {
  const test::TemporaryFolder folder;
  CHECK_EQUAL(
      run_program(joined({kHarness, "verify", "--outputs", folder / "out"}, loose())).exit_code, 0);
  const auto outputs = SampleSource::open(folder / "out");
  const auto inputs = SampleSource::open(kData + "/tiny.safetensors");
  CHECK(outputs && inputs);
  if (outputs && inputs) {
    const std::string name = "outputs/y/out\n";
    CHECK(outputs->find(name) != nullptr);
    CHECK(*outputs->read(*outputs->find(name)) == *inputs->read(*inputs->find(name)));
  }
  const auto broken =
      run_program(joined({kHarness, "verify", "--json", "-"}, loose("tiny_broken.onnx")));
  CHECK_EQUAL(broken.exit_code, 8);
  CHECK(json::parse(broken.output)["passed"] == false);
  const auto lenient = joined({kHarness, "verify", "--min-sqnr-db", "0"}, loose());
  CHECK_EQUAL(run_program(lenient).exit_code, 0);
}

void info_salts_the_id(Checks& checks) {
  const auto id = [](const std::string& salt) {
    const auto result = run_program({kHarness, "info", "--json", "-", "--id-salt", salt});
    return json::parse(result.output)["context"]["device"]["id"];
  };
  CHECK(id("a") == id("a"));
  CHECK(id("a").is_null() || id("a") != id("b"));
}

void session_checks_bindings(Checks& checks) {
  auto session = Session::open(kData + "/tiny.onnx", {});
  CHECK(session);
  if (!session) return;
  const std::string input = session->inputs()[0].name;
  CHECK_EQUAL(session->inputs()[0].dim_names[0], "batch");
  std::array<float, 8> values{};
  std::array<double, 4> doubles{};
  CHECK(!session->bind_input(input, values.data(), {2, 3}));
  CHECK(!session->bind_input(input, doubles.data(), {1, 4}));
  CHECK(!session->bind_input("other", values.data(), {1, 4}));
  CHECK(!session->bind_input(input, DataType::kFloat32, values.data(), 12, {1, 4}));
  CHECK(session->bind_input(input, values.data(), {2, 4}));
  CHECK(session->bind_output_to_runtime(session->outputs()[0].name));
  CHECK(session->run());
  const auto view = session->output(session->outputs()[0].name);
  CHECK(view && view->bytes == 14 * sizeof(float));
  CHECK(!Session::open("/nonexistent.onnx", {}));
}

}  // namespace

int main() {
  return test::run_all({{"usage_errors", usage_errors},
                        {"bench_of_loose_files", bench_of_loose_files},
                        {"bench_of_a_bundle", bench_of_a_bundle},
                        {"outputs_of_each_variant", outputs_of_each_variant},
                        {"impossible_times_fail", impossible_times_fail},
                        {"failures_are_reported", failures_are_reported},
                        {"interruption_is_reported", interruption_is_reported},
                        {"the_end_of_the_parent_ends_it", the_end_of_the_parent_ends_it},
                        {"emulated_makes_no_claims", emulated_makes_no_claims},
                        {"verify_judges", verify_judges},
                        {"info_salts_the_id", info_salts_the_id},
                        {"session_checks_bindings", session_checks_bindings}});
}
