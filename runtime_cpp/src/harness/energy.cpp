#include "energy.hpp"

#include <string>

namespace edgesmith::harness {

using nlohmann::json;

void put_energy_per_inference(json& run) {
  run["energy"] = nullptr;
  double joules = 0;
  double inferences = 0;
  std::string source;
  for (const json& process : run["processes"]) {
    const json& during = process["environment"]["during"];
    if (during["energy_joules"].is_null()) {
      run["reasons"]["energy"] = during["reasons"]["energy_joules"];
      return;
    }
    joules += during["energy_joules"].get<double>();
    source = during["energy_source"].get<std::string>();
    inferences += process["timing"]["timed"].get<double>();
  }
  if (inferences <= 0) {
    run["reasons"]["energy"] = "no inference was counted";
    return;
  }
  run["energy"] = {{"joules_per_inference", joules / inferences}, {"source", source}};
}

}  // namespace edgesmith::harness
