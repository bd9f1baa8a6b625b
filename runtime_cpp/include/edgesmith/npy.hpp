/// \file
/// Arrays in NumPy's .npy format, versions 1 to 3. Foreign files are not trusted.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "edgesmith/result.hpp"
#include "edgesmith/tensor.hpp"

namespace edgesmith {

/// What a .npy file holds; `data` points into the bytes that were parsed.
struct NpyArray {
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> dims;
  std::string_view data;  ///< Little endian, in C order, as many bytes as type and dims need.
};

/// \param bytes The whole file.
/// \return kModelOrData if it is damaged, or in another byte order, memory order or element type
///         than models take; Python objects are never read.
Result<NpyArray> parse_npy(std::string_view bytes);

}  // namespace edgesmith
