#include <limits>
#include <nlohmann/json.hpp>

#include "check.hpp"
#include "placement.hpp"
#include "programs.hpp"
#include "report_json.hpp"
#include "report_schema.hpp"

namespace {

using namespace edgesmith;
using namespace edgesmith::harness;
using nlohmann::json;
using test::Checks;

void example_fits(Checks& checks) {
  const json example = json::parse(test::read_text(EDGESMITH_TEST_DATA "/report_example.json"));
  CHECK_EQUAL(test::schema_problem(EDGESMITH_TEST_SCHEMA, example), "");
#ifdef EDGESMITH_TEST_VALIJSON
  for (const char* field : {"context", "runs", "schema_version"}) {
    json broken = example;
    broken.erase(field);
    CHECK(!test::schema_problem(EDGESMITH_TEST_SCHEMA, broken).empty());
  }
  json other_major = example;
  other_major["schema_version"] = "2.0";
  CHECK(!test::schema_problem(EDGESMITH_TEST_SCHEMA, other_major).empty());
#endif
}

void values_that_json_lacks(Checks& checks) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const Measured& measured :
       {Measured{infinity, Interval{0, 1}, ""}, Measured{1.0, Interval{-infinity, 1}, ""},
        Measured{{}, {}, "why"}}) {
    const json value = measured_json(measured);
    CHECK(value["value"].is_null() || value["ci95"].is_null());
    CHECK(!value["reason"].get<std::string>().empty());
  }
  CHECK_EQUAL(json_text(json{{"a", "\xff"}}).find('\xff'), std::string::npos);
}

void profiles(Checks& checks) {
  CHECK(!parse_profile("{}") && !parse_profile("") && !parse_profile(R"([{"cat":1}])"));
  const auto profile = parse_profile(
      R"([{"cat":"Session","name":"model_run","ts":10,"dur":50},
          {"cat":"Node","name":"a_kernel_time","ts":11,"dur":40,"args":{"op_name":"Conv","provider":"P","node_index":"0"}},
          {"cat":"Node","name":"c_kernel_time","ts":12,"dur":1,"args":{"op_name":"MemcpyFromHost","provider":"P","node_index":"1"}},
          {"cat":"Node","name":"d_kernel_time","ts":13,"dur":1,"args":{"op_name":"MemcpyFromHost","provider":"P","node_index":"2"}},
          {"cat":"Node","name":"e_kernel_time","ts":14,"dur":1,"args":{"op_name":"MemcpyToHost","provider":"P","node_index":"3"}},
          {"cat":"Session","name":"model_run","ts":70,"dur":20},
          {"cat":"Node","name":"c_kernel_time","ts":70,"dur":1,"args":{"op_name":"MemcpyFromHost","provider":"P","node_index":"1"}},
          {"cat":"Node","name":"a_kernel_time","ts":71,"dur":5,"args":{"op_name":"Conv","provider":"P","node_index":"0"}}])");
  CHECK(profile);
  if (!profile) return;
  CHECK_EQUAL(profile->placement["P"].get<int>(), 4);
  CHECK_EQUAL(profile->copies.dump(), R"({"to_device":2,"to_host":1})");
  CHECK_EQUAL(profile->operators[0]["total_ns"].get<int>(), 5000);
  CHECK_EQUAL(profile->operators[0]["inferences"].get<int>(), 1);
}

void placement(Checks& checks) {
  // Shape is computed on the CPU on purpose, a copy is the runtime's own; Relu was left behind.
  const auto profile = parse_profile(
      R"([{"cat":"Session","name":"model_run","ts":10,"dur":50},
          {"cat":"Node","name":"a_kernel_time","ts":11,"dur":1,"args":{"op_name":"Fused","provider":"G","node_index":"0","output_type_shape":[{"float":[1,3]}]}},
          {"cat":"Node","name":"b_kernel_time","ts":12,"dur":1,"args":{"op_name":"Shape","provider":"C","node_index":"1","output_type_shape":[{"int64":[4]}]}},
          {"cat":"Node","name":"c_kernel_time","ts":13,"dur":1,"args":{"op_name":"MemcpyToHost","provider":"C","node_index":"2","output_type_shape":[{"float":[1]}]}},
          {"cat":"Node","name":"d_kernel_time","ts":14,"dur":1,"args":{"op_name":"Gather","provider":"C","node_index":"3","output_type_shape":[{"int64":[1000]}]}},
          {"cat":"Node","name":"e_kernel_time","ts":15,"dur":1,"args":{"op_name":"Relu","provider":"C","node_index":"4","output_type_shape":[{"float":[1]}]}}])",
      "G");
  CHECK(profile);
  if (!profile) return;
  CHECK_EQUAL(profile->misplaced, std::string("1 Gather on C, 1 Relu on C"));
  CHECK_EQUAL(profile->elsewhere["C"]["Shape"].get<int>(), 1);
  CHECK_EQUAL(profile->placement["G"].get<int>(), 1);
}

}  // namespace

int main() {
  return test::run_all({{"example_fits", example_fits},
                        {"values_that_json_lacks", values_that_json_lacks},
                        {"profiles", profiles},
                        {"placement", placement}});
}
