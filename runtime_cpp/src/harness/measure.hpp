/// \file
/// One measurement in this process. The bench command starts a fresh process for each.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "edgesmith/result.hpp"
#include "run_spec.hpp"

namespace edgesmith::harness {

/// Where a measuring process puts what it finds.
struct MeasureChannel {
  int result_fd =
      -1;  ///< Lines: "steady" and "done" around the timed part, then one JSON document.
  int latency_fd = -1;  ///< Every timed inference in order, int64 nanoseconds in native byte order.
};

/// Measures and writes to the channel. The document holds either `error` or `process`, `effective`
/// and, where asked for, `evaluation`, `copies` and `profile`.
/// \return the exit code: 0, or that of the error in the document.
int measure(const RunSpec& spec, const MeasureChannel& channel);

/// The internal command: arguments of a RunSpec, then the two descriptors of the channel.
int measure_command(const std::vector<std::string>& arguments);

}  // namespace edgesmith::harness
