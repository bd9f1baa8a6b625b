/// \file
/// Something that a valid measurement needs.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace edgesmith::harness {

/// What was found where it is a number, and what it may be.
struct Finding {
  double value = 0;
  double limit = 0;
  std::string unit;
};

struct Condition {
  std::string name;
  std::optional<bool> passed;  ///< Nothing: it cannot be told here.
  std::string advice;          ///< Where it was not fulfilled or cannot be told.
  // The initializer lets a condition without a finding be written without a warning of GCC's.
  std::optional<Finding> finding = {};  // NOLINT(readability-redundant-member-init)
};

inline nlohmann::json condition_json(const Condition& condition) {
  nlohmann::json entry = {
      {"name", condition.name}, {"passed", nullptr}, {"advice", condition.advice}};
  if (condition.passed) entry["passed"] = *condition.passed;
  if (condition.finding) {
    entry["value"] = condition.finding->value;
    entry["limit"] = condition.finding->limit;
    entry["unit"] = condition.finding->unit;
  }
  return entry;
}

}  // namespace edgesmith::harness
