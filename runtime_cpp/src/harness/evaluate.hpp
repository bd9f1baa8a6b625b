/// \file
/// Runs all samples through a session and compares what comes out.
#pragma once

#include <string>
#include <vector>

#include "edgesmith/accuracy.hpp"
#include "model_io.hpp"

namespace edgesmith::harness {

/// One output against its stored reference, sample by sample.
struct OutputErrors {
  std::string output;
  std::vector<SampleError> errors;
  std::string reason;  ///< Why there are none.
};

/// What was found for every sample, in the order of the samples.
struct Evaluation {
  std::vector<OutputErrors> outputs;
  std::int64_t classes = 0;     ///< Values of the first output for one sample.
  std::vector<bool> agreement;  ///< The first output's argmax equals that of the reference.
  std::vector<bool> top1;       ///< Against the labels; empty without labels.
  std::vector<bool> top5;
  std::string labels_reason;  ///< Why top1 is empty though there are labels.
  Groups groups;              ///< Of the samples; empty where they are independent.
  std::string unwritten;      ///< Why the outputs that were asked for are not written.
};

/// Where all outputs go as `outputs/<name>`.
struct OutputsWanted {
  std::string path;      ///< Empty: nowhere.
  bool required = true;  ///< Not writing them fails the evaluation; otherwise it tells why.
};

/// Where the reference of an output stands in the samples file, by order of preference.
struct ReferencePrefixes {
  std::vector<std::string> prefixes{"outputs/"};
};

/// An output that does not divide into samples, or is of another shape than its reference, is left
/// out with a reason.
/// \return kModelOrData or kFileSystem if an inference or a read fails, or required outputs are not
///         written.
Result<Evaluation> evaluate(Session& session, ModelIo& io, const SampleSource& source,
                            const ReferencePrefixes& references, const OutputsWanted& wanted);

}  // namespace edgesmith::harness
