#include "digest.hpp"

#include <sodium/crypto_hash_sha256.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "file.hpp"

namespace edgesmith {
namespace {

std::string finish(crypto_hash_sha256_state& state) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256_final(&state, hash.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : hash) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace

std::string sha256_hex(std::string_view data) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(data.data()),
                            data.size());
  return finish(state);
}

Result<FileDigest> digest_descriptor(int fd, const std::string& name) {
  constexpr std::size_t kChunkBytes = std::size_t{1} << 16;
  std::vector<unsigned char> chunk(kChunkBytes);
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  std::uint64_t offset = 0;
  for (;;) {
    const ssize_t got = ::pread(fd, chunk.data(), chunk.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + name);
    if (got == 0) return FileDigest{offset, finish(state)};
    crypto_hash_sha256_update(&state, chunk.data(), static_cast<unsigned long long>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

Result<FileDigest> digest_file(const std::string& path) {
  const Result<OpenFile> file = open_file(path);
  if (!file) return file.error();
  return digest_descriptor(file->descriptor.get(), path);
}

}  // namespace edgesmith
