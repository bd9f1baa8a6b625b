#include "sample_reader.hpp"

#include <algorithm>
#include <cstring>

namespace edgesmith::harness {
namespace {

// Larger samples belong to models beside which a system call does not count.
constexpr std::uint64_t kAheadBytes = 65536;

std::uint64_t bytes_ahead(const StoredTensor& tensor) {
  const std::uint64_t bytes = tensor.sample_bytes();
  if (bytes == 0 || bytes > kAheadBytes / 2) return 0;
  return std::min(tensor.bytes, kAheadBytes / bytes * bytes);
}

}  // namespace

SampleReader::SampleReader(const SampleSource& source, const StoredTensor& tensor)
    : source_(&source), tensor_(&tensor), ahead_(static_cast<std::size_t>(bytes_ahead(tensor))) {}

Status SampleReader::read(std::int64_t index, unsigned char* destination) {
  if (ahead_.empty()) return source_->read_samples(*tensor_, index, 1, destination);
  const auto bytes = static_cast<std::size_t>(tensor_->sample_bytes());
  if (index < first_ || index >= first_ + count_) {
    const auto room = static_cast<std::int64_t>(ahead_.size() / bytes);
    const std::int64_t count = std::min(room, tensor_->sample_count() - index);
    count_ = 0;
    Status status = source_->read_samples(*tensor_, index, count, ahead_.data());
    if (!status) return status;
    first_ = index;
    count_ = count;
  }
  std::memcpy(destination, ahead_.data() + static_cast<std::size_t>(index - first_) * bytes, bytes);
  return Done{};
}

}  // namespace edgesmith::harness
