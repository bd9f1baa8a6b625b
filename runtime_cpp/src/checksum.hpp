/// \file
/// Checksums that tell files apart that nobody made alike on purpose. For hashes see digest.hpp.
#pragma once

#include <string>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// Of a file's contents, as 16 hexadecimal digits. \return kFileSystem if it cannot be read.
Result<std::string> checksum_of(const std::string& path);

/// Of an ONNX model, and of the files beside it that hold its weights, if there are such.
/// \return kFileSystem if the model cannot be read.
Result<std::string> checksum_of_model(const std::string& path);

}  // namespace edgesmith
