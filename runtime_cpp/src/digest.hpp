/// \file
/// SHA-256 of texts and files. Private to the harness and the installer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// Lowercase hexadecimal SHA-256.
std::string sha256_hex(std::string_view data);

/// What a file holds, from one pass over it.
struct FileDigest {
  std::uint64_t bytes = 0;
  std::string sha256;
};

/// \param fd Open for reading; read from its start to its end.
Result<FileDigest> digest_descriptor(int fd, const std::string& name);
Result<FileDigest> digest_file(const std::string& path);

}  // namespace edgesmith
