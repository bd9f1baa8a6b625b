/// \file
/// Measuring processes: starting one, watching it, and collecting what it found.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/environment.hpp"
#include "file.hpp"
#include "run_spec.hpp"

namespace edgesmith::harness {

/// What became of one measuring process.
struct ChildOutcome {
  nlohmann::json document;              ///< As measure() writes it; null if there is none.
  nlohmann::json during;                ///< The report's environment.during; null if none was seen.
  std::vector<std::int64_t> latencies;  ///< Timed inferences in order, ns; those that were kept.
  std::vector<std::int64_t> services;   ///< Of frames on a schedule: the work without the waiting.
  nlohmann::json error;                 ///< A report error, or null.
  bool interrupted = false;             ///< A signal asked this program to end.
};

/// Starts measuring processes and ends them with this one. While it lives, SIGINT, SIGTERM and
/// SIGHUP are held back and end the measurement that is running.
class ChildRunner {
 public:
  /// \param emulated Fork without exec: a user-mode emulator's guest cannot execute guest programs.
  static Result<ChildRunner> create(bool emulated);

  /// Runs one measurement to its end. Never fails as a whole: what goes wrong is in the outcome.
  ChildOutcome run(const RunSpec& spec) const;

 private:
  ChildRunner(Descriptor signals, bool emulated)
      : signals_(std::move(signals)), emulated_(emulated) {}

  Descriptor signals_;
  bool emulated_;
  Environment environment_;
};

}  // namespace edgesmith::harness
