#include "checksum.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>
#include <vector>

#include "file.hpp"

namespace edgesmith {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

/// FNV-1a over 64-bit words, with the high bits of each step brought down: bits that only ever move
/// up would let two changed signs cancel each other.
class Checksum {
 public:
  void add(const char* data, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; i += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, data + i, std::min(sizeof word, bytes - i));
      value_ = (value_ ^ word) * 1099511628211ULL;
      value_ ^= value_ >> 32U;
    }
  }

  std::string text() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string digits;
    for (unsigned shift = 64; shift > 0; shift -= 4) {
      digits += kDigits[(value_ >> (shift - 4)) & 15U];
    }
    return digits;
  }

 private:
  std::uint64_t value_ = 14695981039346656037ULL;
};

/// Gives a file's bytes in pieces, each with up to `overlap` bytes of those before.
template <typename Take>
Status read_in_pieces(const std::string& path, std::size_t overlap, Take take) {
  const Result<OpenFile> file = open_file(path);
  if (!file) return file.error();
  std::vector<char> buffer(overlap + kChunkBytes);
  std::size_t before = 0;
  for (;;) {
    const ssize_t got = ::read(file->descriptor.get(), buffer.data() + before, kChunkBytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + path);
    if (got == 0) return Done{};
    const std::size_t filled = before + static_cast<std::size_t>(got);
    take(std::string_view(buffer.data(), filled), before);
    const std::size_t kept = std::min(overlap, filled);
    std::memmove(buffer.data(), buffer.data() + filled - kept, kept);
    before = kept;
  }
}

/// The files that tensors lie in: entries of TensorProto.external_data, in protobuf's encoding,
/// whose key is "location". Bytes that only look like one name a file that is not there.
void find_locations(std::string_view bytes, std::set<std::string>& names) {
  constexpr std::string_view kKey = "\x0a\x08location\x12";
  for (std::size_t at = bytes.find(kKey); at != std::string_view::npos;
       at = bytes.find(kKey, at + 1)) {
    std::string_view rest = bytes.substr(at + kKey.size());
    std::size_t length = 0;
    for (unsigned shift = 0; shift < 14 && !rest.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest.front());
      rest.remove_prefix(1);
      length |= static_cast<std::size_t>(byte & 127U) << shift;
      if (byte < 128) break;
    }
    if (length <= rest.size()) names.emplace(rest.substr(0, length));
  }
}

}  // namespace

Result<std::string> checksum_of(const std::string& path) {
  Checksum sum;
  const Status read = read_in_pieces(
      path, 0, [&](std::string_view piece, std::size_t) { sum.add(piece.data(), piece.size()); });
  if (!read) return read.error();
  return sum.text();
}

Result<std::string> checksum_of_model(const std::string& path) {
  // The longest entry: its key, two bytes of length, a path.
  constexpr std::size_t kLongestEntry = std::size_t{1} << 15;
  Checksum sum;
  std::set<std::string> names;
  const Status read =
      read_in_pieces(path, kLongestEntry, [&](std::string_view piece, std::size_t before) {
        sum.add(piece.data() + before, piece.size() - before);
        find_locations(piece, names);
      });
  if (!read) return read.error();
  for (const std::string& name : names) {
    const std::string beside = (std::filesystem::path(path).parent_path() / name).string();
    const Result<std::string> weights = checksum_of(beside);
    if (!weights) continue;
    sum.add(weights->data(), weights->size());
  }
  return sum.text();
}

}  // namespace edgesmith
