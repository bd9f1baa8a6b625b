/// \file
/// SampleSource: every tensor of a file that it opens can be read, as a whole and by samples.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "edgesmith/samples.hpp"
#include "file.hpp"
#include "fuzz_target.hpp"

namespace {

using namespace edgesmith;
using fuzz::require;

void read_sample(const SampleSource& source, const StoredTensor& tensor, std::int64_t index) {
  const auto bytes = static_cast<std::size_t>(tensor.sample_bytes());
  // Exactly as large as promised, so that a byte too much is found.
  std::vector<unsigned char> sample(bytes);
  require(static_cast<bool>(source.read_sample(tensor, index, sample.data())),
          "a sample that is there can be read");
  const std::vector<double> values = to_doubles(tensor.type, sample.data(), sample.size());
  require(values.size() * element_bytes(tensor.type) == bytes, "samples hold whole elements");
}

void use(const SampleSource& source, std::uint64_t file_bytes) {
  const Result<std::int64_t> count = source.check_samples();
  if (!count) fuzz::require_refusal(count.error(), ErrorCode::kModelOrData);
  for (const auto& [name, tensor] : source.tensors()) {
    require(source.find(name) == &tensor, "a tensor is found by its name");
    require(tensor.offset_bytes <= file_bytes && tensor.bytes <= file_bytes - tensor.offset_bytes,
            "a tensor lies in the file");
    const Result<std::vector<unsigned char>> whole = source.read(tensor);
    require(whole && whole->size() == tensor.bytes, "a tensor can be read");
    const std::int64_t samples = tensor.sample_count();
    require(!count || samples == *count, "every tensor has every sample");
    if (samples > 0) {
      for (const std::int64_t index : {std::int64_t{0}, samples / 2, samples - 1}) {
        read_sample(source, tensor, index);
      }
    }
    for (const std::int64_t index : {std::int64_t{-1}, samples}) {
      require(!source.read_sample(tensor, index, nullptr), "a sample that is not there is refused");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const Descriptor file(::memfd_create("samples", MFD_CLOEXEC));
  require(file && write_all(file.get(), data, bytes), "memory for the file can be had");
  const auto source = SampleSource::open("/proc/self/fd/" + std::to_string(file.get()));
  if (source) {
    use(*source, bytes);
  } else {
    fuzz::require_refusal(source.error(), ErrorCode::kModelOrData);
  }
  return 0;
}
