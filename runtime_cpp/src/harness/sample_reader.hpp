/// \file
/// Reads the samples of one tensor one after another.
#pragma once

#include <cstdint>
#include <vector>

#include "edgesmith/samples.hpp"

namespace edgesmith::harness {

/// Reads small samples many at once: a system call before each inference would slow the inference.
class SampleReader {
 public:
  /// \param source, tensor Must outlive the reader.
  SampleReader(const SampleSource& source, const StoredTensor& tensor);

  Status read(std::int64_t index, unsigned char* destination);

 private:
  const SampleSource* source_;
  const StoredTensor* tensor_;
  std::vector<unsigned char> ahead_;  ///< Empty where a sample is too large to share it.
  std::int64_t first_ = 0;            ///< The samples that are in `ahead_`.
  std::int64_t count_ = 0;
};

}  // namespace edgesmith::harness
