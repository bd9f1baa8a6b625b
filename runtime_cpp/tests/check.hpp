/// \file
/// The least that tests need: checks that count failures, and a main() that runs named functions.
#pragma once

#include <cmath>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace edgesmith::test {

/// Failures so far; each test program has one.
class Checks {
 public:
  void expect(bool passed, const std::string& what, const char* file, int line) {
    if (passed) return;
    ++failures_;
    std::cerr << file << ":" << line << ": " << what << "\n";
  }

  template <typename A, typename B>
  void expect_equal(const A& a, const B& b, const std::string& what, const char* file, int line) {
    if (a == b) return;
    ++failures_;
    std::cerr << file << ":" << line << ": " << what << ": " << a << " != " << b << "\n";
  }

  int failures() const { return failures_; }

 private:
  int failures_ = 0;
};

using Test = std::pair<const char*, std::function<void(Checks&)>>;

inline int run_all(const std::vector<Test>& tests) {
  Checks checks;
  for (const auto& [name, test] : tests) {
    const int before = checks.failures();
    test(checks);
    std::cerr << (checks.failures() == before ? "passed " : "FAILED ") << name << "\n";
  }
  return checks.failures() == 0 ? 0 : 1;
}

}  // namespace edgesmith::test

#define CHECK(condition) checks.expect(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
#define CHECK_EQUAL(a, b) checks.expect_equal((a), (b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_NEAR(a, b, tolerance) \
  checks.expect(std::abs((a) - (b)) <= (tolerance), #a " is near " #b, __FILE__, __LINE__)
