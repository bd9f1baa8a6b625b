/// \file
/// Inputs of a model from files: .npy, .raw and .png.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edgesmith/result.hpp"
#include "edgesmith/tensor.hpp"

namespace edgesmith {

/// A tensor in memory of its own.
struct Tensor {
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> dims;
  std::vector<unsigned char> data;  ///< In C order.
};

/// A file for the input of this name.
struct InputFile {
  std::string name;
  std::string path;
};

/// Reads one file for every declared input. Dynamic dimensions take their sizes from the files; one
/// that has a name has one size in all inputs. A .raw file can tell one size that no other file
/// tells. Nothing is converted or resized.
/// \param declared What the model takes; -1 for dynamic dimensions.
/// \return the tensors in the order of `declared`; kUsage if an input has no file, two, or one of
///         unknown kind; kModelOrData if a file does not fit; kFileSystem if one can't be read.
Result<std::vector<Tensor>> read_inputs(const std::vector<TensorInfo>& declared,
                                        const std::vector<InputFile>& files);

/// Copies a tensor to memory of exactly its size. \return kModelOrData if the sizes differ.
Status copy_to(const Tensor& tensor, void* destination, std::size_t bytes);

}  // namespace edgesmith
