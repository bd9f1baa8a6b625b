#include "check.hpp"
#include "edgesmith/tensor.hpp"

namespace {

using namespace edgesmith;
using test::Checks;

template <typename T>
std::string error_of(const std::vector<std::int64_t>& dims) {
  const auto elements = allocate_elements<T>(dims);
  if (elements) return "";
  return elements.error().code == ErrorCode::kModelOrData ? elements.error().message : "?";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void memory_is_zeroed(Checks& checks) {
  const auto floats = allocate_elements<float>({2, 3});
  CHECK(floats && (*floats)[0] == 0.0F && (*floats)[5] == 0.0F);
  const auto flags = allocate_elements<bool>({});
  CHECK(flags && !(*flags)[0]);
  CHECK(allocate_elements<double>({0, 4}));
}

void what_memory_cannot_hold_is_an_error(Checks& checks) {
  const std::string missing = "is more than the memory";
  CHECK(has(error_of<float>({99'999'999'999'999, 64}), "[99999999999999, 64] elements of 4 bytes"));
  CHECK(has(error_of<float>({99'999'999'999'999, 64}), missing));
  // More bytes than a pointer counts, then more elements than an int64.
  CHECK(has(error_of<double>({INT64_MAX}), missing));
  CHECK(has(error_of<double>({INT64_MAX / 8 + 1}), missing));
  CHECK(has(error_of<char>({INT64_MAX, 2}), missing));
  CHECK(has(error_of<float>({2, -1}), "a size is below 0"));
}

void sizes_are_from_one(Checks& checks) {
  CHECK(check_size("batch", 1));
  CHECK_EQUAL(check_size("batch", 0).error().message, "size 'batch' is 0; a size is 1 or more");
  CHECK(!check_size("batch", -1) && !check_size("batch", INT64_MIN));
}

}  // namespace

int main() {
  return test::run_all(
      {{"memory_is_zeroed", memory_is_zeroed},
       {"sizes_are_from_one", sizes_are_from_one},
       {"what_memory_cannot_hold_is_an_error", what_memory_cannot_hold_is_an_error}});
}
