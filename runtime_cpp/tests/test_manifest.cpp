#include <nlohmann/json.hpp>

#include "check.hpp"
#include "edgesmith/manifest.hpp"

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
         {"data", {"model/weights", "model/more"}},
         {"operations", {{"multiply_adds_per_sample", 590}}},
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
  CHECK_EQUAL(manifest->find_variant("int8")->multiply_adds_per_sample.value_or(0), 590U);
  CHECK_EQUAL(manifest->find_variant("int8")->data.size(), 2U);
  CHECK_EQUAL(manifest->find_variant("int8")->data[1], "model/more");
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
      {{"variants", {{{"name", "int8"}, {"path", "a"}, {"operations", 5}}}}},
      {{"variants",
        {{{"name", "int8"}, {"path", "a"}, {"operations", {{"multiply_adds_per_sample", -1}}}}}}},
      {{"variants", "none"}},
      {{"variants", {{{"name", "int8"}, {"path", "a"}, {"data", {"b", "../c"}}}}}},
      {{"variants", {{{"name", "int8"}, {"path", "a"}, {"data", {"b", 1}}}}}},
      {{"variants", {{{"name", "int8"}, {"path", "a"}, {"data", "b"}}}}},
      {{"variants", {{{"name", "int8"}, {"path", "a"}, {"threads", 1.5}}}}},
      {{"variants", {{{"name", "int8"}, {"path", "a"}, {"threads", 4097}}}}},
      {{"variants", {{{"name", "int8"}, {"path", "a"}, {"self_test_min_sqnr_db", -1}}}}},
      {{"metrics", {1}}}};
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

}  // namespace

int main() {
  return test::run_all({{"good_manifest", good_manifest},
                        {"bad_manifests", bad_manifests},
                        {"safe_paths", safe_paths}});
}
