/// \file
/// Connects the samples of a file with the inputs and outputs of a session.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "edgesmith/samples.hpp"
#include "edgesmith/session.hpp"
#include "options.hpp"
#include "sample_reader.hpp"

namespace edgesmith::harness {

/// An input in the host's memory, as it is bound.
struct BoundInput {
  const TensorInfo* info = nullptr;
  const void* data = nullptr;
  std::size_t bytes = 0;
  std::vector<std::int64_t> dims;
};

/// Buffers for one inference, bound to a session once. Sample i is the i-th slice of each stored
/// input; a larger batch is that many consecutive samples, from the first again after the last.
class ModelIo {
 public:
  /// Checks that the stored inputs fit the model and the wanted shape, allocates and binds.
  /// \param session, source Must outlive the result.
  /// \return kModelOrData saying which input or dimension does not fit.
  static Result<ModelIo> create(Session& session, const SampleSource& source, const Shape& shape);

  /// Copies samples `first`, `first` + 1, ... into the bound input buffers.
  Status load(std::int64_t first);

  std::int64_t sample_count() const { return sample_count_; }
  std::int64_t batch() const { return batch_; }  ///< Samples per inference.

  /// Whether every output has memory of ours; the runtime allocates the others in each run.
  bool preallocated() const { return preallocated_; }

  std::vector<BoundInput> inputs() const;

  /// The bytes of an output that belong to one sample of the batch, after an inference.
  /// \param stored The stored reference of this output, which says how large a sample's part is.
  /// \return kModelOrData if the output does not divide into samples of that shape and type.
  Result<std::vector<unsigned char>> output_part(const TensorInfo& output,
                                                 const std::vector<std::int64_t>& sample_dims,
                                                 std::int64_t position) const;

  /// Dimensions of an output for one sample, after an inference.
  Result<std::vector<std::int64_t>> sample_dims(const TensorInfo& output) const;

 private:
  /// Memory that stays in place; a size that cannot be had is an error, not an exception.
  /// An array, because new (std::nothrow) gives one and a vector would throw.
  struct Buffer {
    std::unique_ptr<unsigned char[]> data;  // NOLINT(*-avoid-c-arrays)
    std::size_t bytes = 0;
  };
  struct Input {
    std::vector<std::int64_t> dims;
    std::int64_t copies = 1;  ///< Samples laid one after another in the buffer.
    Buffer buffer;
    SampleReader reader;
  };

  ModelIo(Session& session, const SampleSource& source) : session_(&session), source_(&source) {}
  static Status allocate(Buffer& buffer, DataType type, const std::vector<std::int64_t>& dims);
  Status plan_input(const TensorInfo& info, const Shape& shape);
  Status note_symbols(const TensorInfo& info, const std::vector<std::int64_t>& dims);
  Status bind_output(const TensorInfo& info);

  Session* session_;
  const SampleSource* source_;
  std::vector<Input> inputs_;
  std::vector<Buffer> outputs_;
  std::map<std::string, std::int64_t> symbols_;
  std::int64_t sample_count_ = 0;
  std::int64_t batch_ = 1;
  bool preallocated_ = true;
};

}  // namespace edgesmith::harness
