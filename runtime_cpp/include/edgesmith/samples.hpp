/// \file
/// Reading and writing safetensors files of samples. Foreign files are not trusted: the header's
/// size, every offset and every length is checked before use.
///
/// Tensors are read with pread(2), not mapped: mapped pages would count as memory of the model that
/// is being measured, and a file that is cut while mapped ends the process.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "edgesmith/result.hpp"
#include "edgesmith/tensor.hpp"

namespace edgesmith {

/// Where a tensor lies in a safetensors file.
struct StoredTensor {
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> dims;
  std::uint64_t offset_bytes = 0;  ///< From the start of the file.
  std::uint64_t bytes = 0;

  /// Size of the leading axis; 0 for a scalar.
  std::int64_t sample_count() const { return dims.empty() ? 0 : dims.front(); }
  /// Bytes of one element of the leading axis.
  std::uint64_t sample_bytes() const;
  /// Dimensions without the leading axis.
  std::vector<std::int64_t> sample_dims() const;
};

/// An open safetensors file.
class SampleSource {
 public:
  /// \return kFileSystem if it is no regular file or cannot be read; kModelOrData if it is no sound
  ///         safetensors file: a header that is cut off, over 16 MiB or no JSON, a key twice, an
  ///         element type that models don't take, or bytes that belong to two tensors or to none.
  static Result<SampleSource> open(const std::string& path);

  SampleSource(SampleSource&& other) noexcept;
  SampleSource& operator=(SampleSource&& other) noexcept;
  SampleSource(const SampleSource&) = delete;
  SampleSource& operator=(const SampleSource&) = delete;
  ~SampleSource();

  /// Requires format "edgesmith-samples" of schema major 1 and an equal number of samples in every
  /// tensor. \return that number, at least 1; kModelOrData otherwise.
  Result<std::int64_t> check_samples() const;

  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }

  /// The tensor of this exact name, or null.
  const StoredTensor* find(const std::string& name) const;

  /// Copies sample `index` of a tensor to `destination`, which holds sample_bytes().
  /// \return kModelOrData if there is no such sample, kFileSystem if the file became shorter.
  Status read_sample(const StoredTensor& tensor, std::int64_t index, void* destination) const;

  /// The same of `count` samples from `first` on, one after another; `count` is at least 1.
  Status read_samples(const StoredTensor& tensor, std::int64_t first, std::int64_t count,
                      void* destination) const;

  /// Copies a whole tensor, in C order.
  /// \return kModelOrData if it is larger than this machine's memory, kFileSystem if the file
  /// became
  ///         shorter.
  Result<std::vector<unsigned char>> read(const StoredTensor& tensor) const;

 private:
  SampleSource() = default;
  Status read_at(std::uint64_t offset, void* destination, std::uint64_t bytes) const;

  std::string path_;
  int descriptor_ = -1;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to be written. `data` holds as many elements as `dims` say, in C order; it is read
/// during write_safetensors() only.
struct TensorToWrite {
  std::string name;
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> dims;
  const void* data = nullptr;
};

/// What stands before the data of a safetensors file.
struct SafetensorsHead {
  std::string bytes;
  std::vector<std::uint64_t> offsets;  ///< Of each tensor's data, from the start of the file.
};

/// The head of a file of these tensors, whose `data` is not looked at, in their order.
/// \return kModelOrData if two tensors share a name.
Result<SafetensorsHead> safetensors_head(const std::vector<TensorToWrite>& tensors,
                                         const std::map<std::string, std::string>& metadata);

/// Writes a safetensors file as a whole: it appears under its name only when complete.
/// \return kFileSystem if it cannot be written, kDevice if the file system is full, kModelOrData if
///         two tensors share a name.
Status write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                         const std::map<std::string, std::string>& metadata);

}  // namespace edgesmith
