/// \file
/// Whether the machine was in a state to be measured: its clock, heat, power and other work.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "condition.hpp"

namespace edgesmith::harness {

/// The governor is "performance" or the frequency fixed, in all processes.
Condition frequency_controlled(const nlohmann::json& processes);

/// Neither heat nor a weak power supply slowed the CPU down.
Condition not_throttled(const nlohmann::json& processes, const nlohmann::json& device);

/// Other processes had little CPU time while the run's own processes were timed.
Condition no_other_work(const nlohmann::json& processes);

/// A hypervisor gave CPU time to others.
Condition low_steal(const nlohmann::json& processes);

Condition not_on_battery(const nlohmann::json& processes);

/// The processes could only run on cores of one kind.
Condition one_kind_of_cores(const nlohmann::json& processes, const nlohmann::json& device);

/// What would tell more about the machine and cannot be read here.
std::vector<std::string> not_readable(const nlohmann::json& processes);

}  // namespace edgesmith::harness
