#include <nlohmann/json.hpp>

#include "check.hpp"
#include "edgesmith/environment.hpp"
#include "edgesmith/manifest.hpp"
#include "programs.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::Checks;

json good() {
  return {
      {"schema_version", "1.9"},
      {"model", {{"name", "m"}, {"version", "1"}}},
      {"sequence", 3},
      {"default_variant", "int8"},
      {"unknown", {1, 2}},
      {"variants",
       {{{"name", "int8"},
         {"path", "model/int8.onnx"},
         {"session_options", {{"graph_optimization_level", "all"}, {"config", {{"k", "v"}}}}}}}},
      {"files",
       {{{"path", "model/int8.onnx"},
         {"bytes", 3},
         {"sha256", std::string(64, 'a')},
         {"mode", "0755"},
         {"role", "model"}}}}};
}

void good_manifest(Checks& checks) {
  const auto manifest = parse_manifest(good().dump());
  CHECK(manifest);
  if (!manifest) return;
  CHECK_EQUAL(manifest->find_variant("int8")->config.at("k"), "v");
  CHECK_EQUAL(manifest->find_file("model/int8.onnx")->mode, 0755U);
  CHECK(manifest->find_variant("fp32") == nullptr);
}

void bad_manifests(Checks& checks) {
  const std::vector<json> patches{
      {{"schema_version", "2.0"}},
      {{"schema_version", nullptr}},
      {{"sequence", -1}},
      {{"sequence", "3"}},
      {{"default_variant", "other"}},
      {{"model", nullptr}},
      {{"files",
        {{{"path", "../x"}, {"bytes", 1}, {"sha256", std::string(64, 'a')}, {"role", "app"}}}}},
      {{"files",
        {{{"path", "/x"}, {"bytes", 1}, {"sha256", std::string(64, 'a')}, {"role", "app"}}}}},
      {{"files", {{{"path", "x"}, {"bytes", 1}, {"sha256", "zz"}, {"role", "app"}}}}},
      {{"files",
        {{{"path", "x"},
          {"bytes", 1},
          {"sha256", std::string(64, 'a')},
          {"role", "app"},
          {"mode", "4755"}}}}},
      {{"variants", {{{"name", "int8"}, {"path", "a/../../b"}}}}},
      {{"variants", "none"}}};
  for (const json& patch : patches) {
    json document = good();
    document.merge_patch(patch);
    const auto manifest = parse_manifest(document.dump());
    CHECK(!manifest && manifest.error().code == ErrorCode::kIntegrity);
  }
  CHECK(!parse_manifest("") && !parse_manifest("[]") && !parse_manifest("{}"));
  json twice = good();
  twice["files"].push_back(twice["files"][0]);
  CHECK(!parse_manifest(twice.dump()));
  for (const char* path : {"model/int8.onnx/x", "model", "manifest.json", "manifest.json/x"}) {
    json crossing = good();
    crossing["files"].push_back(crossing["files"][0]);
    crossing["files"][1]["path"] = path;
    CHECK(!parse_manifest(crossing.dump()));
  }
}

void safe_paths(Checks& checks) {
  for (const char* path : {"a", "a/b.c", "..a/b", "a b"}) CHECK(is_safe_relative_path(path));
  for (const char* path : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/./b", "a\nb"}) {
    CHECK(!is_safe_relative_path(path));
  }
  CHECK(!is_safe_relative_path(std::string("a\0b", 3)));
}

void environment_of_a_board(Checks& checks) {
  const test::TemporaryFolder root;
  const std::string cpu = "sys/devices/system/cpu/cpu";
  test::write_text(root / (cpu + "0/cpufreq/scaling_governor"), "performance\n");
  test::write_text(root / (cpu + "1/cpufreq/scaling_governor"), "ondemand\n");
  test::write_text(root / (cpu + "0/cpufreq/scaling_cur_freq"), "1500000\n");
  test::write_text(root / "sys/class/thermal/thermal_zone0/temp", "51234\n");
  test::write_text(root / "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
  test::write_text(root / "proc/cpuinfo",
                   "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\n"
                   "CPU part\t: 0xd0b\n");
  test::write_text(root / "proc/device-tree/model", std::string("Board\0", 6));
  test::write_text(root / "proc/stat", "cpu  1 2 3 4 5 6 7 8 9 0\n");
  const Environment environment(root / "");
  const DeviceInfo device = environment.device();
  CHECK_EQUAL(device.model.value.value_or(""), "Board");
  CHECK_EQUAL(device.cpu.value.value_or(""), "ARM implementer 0x41 part 0xd0b");
  CHECK_EQUAL(device.governor.value.value_or(""), "ondemand,performance");
  CHECK_EQUAL(device.isa_features.size(), 2U);
  CHECK(!device.memory_bytes.value && !device.memory_bytes.reason.empty());
  CHECK(!device.machine_id.value && !device.machine_id.reason.empty());
  const Snapshot snapshot = environment.snapshot();
  CHECK_EQUAL(snapshot.steal_ticks.value.value_or(0), 8U);
  CHECK_EQUAL(snapshot.total_ticks.value.value_or(0), 36U);
  CHECK_EQUAL(snapshot.temperature_millicelsius.value->at(0).second, 51234);
  CHECK(!snapshot.throttle_count.value && !snapshot.load_average_1m.value);
}

}  // namespace

int main() {
  return test::run_all({{"good_manifest", good_manifest},
                        {"bad_manifests", bad_manifests},
                        {"safe_paths", safe_paths},
                        {"environment_of_a_board", environment_of_a_board}});
}
