/// \file
/// The outputs of all samples as a safetensors file, written sample by sample: memory holds one
/// sample, whatever their number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edgesmith/samples.hpp"
#include "file.hpp"

namespace edgesmith::harness {

class OutputsFile {
 public:
  /// \param outputs Name, type and dimensions of one sample's part of each output; they are stored
  ///        as `outputs/<name>`, stacked along a leading axis.
  /// \return kFileSystem or kDevice if it cannot be written.
  static Result<OutputsFile> create(const std::string& path,
                                    const std::vector<TensorToWrite>& outputs,
                                    std::int64_t sample_count);

  /// Writes a sample's part of the output at `index`.
  Status put(std::size_t index, std::int64_t sample, const std::vector<unsigned char>& bytes);

  /// Puts the file in its place; without it, nothing stays.
  Status close() { return file_.commit(); }

 private:
  OutputsFile(AtomicFile file, std::vector<std::uint64_t> offsets);

  AtomicFile file_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace edgesmith::harness
