/// \file
/// parse_npy(): the data of an array that it accepts are as many as type and dimensions say.
#include <string_view>
#include <vector>

#include "edgesmith/npy.hpp"
#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace edgesmith;
  // In memory of exactly its size, so that a byte too much is found.
  const std::vector<char> file(data, data + bytes);
  const Result<NpyArray> array = parse_npy(std::string_view(file.data(), file.size()));
  if (!array) {
    fuzz::require_refusal(array.error(), ErrorCode::kModelOrData);
    return 0;
  }
  const std::vector<double> values =
      to_doubles(array->type, array->data.data(), array->data.size());
  const std::optional<std::int64_t> count = element_count(array->dims);
  fuzz::require(count && static_cast<std::size_t>(*count) == values.size(),
                "an array has all its elements");
  return 0;
}
