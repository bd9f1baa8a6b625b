#include <array>
#include <cstring>
#include <numeric>

#include "check.hpp"
#include "edgesmith/samples.hpp"
#include "programs.hpp"
#include "sample_reader.hpp"

namespace {

using namespace edgesmith;
using test::Checks;

std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string text;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    text.push_back(static_cast<char>((static_cast<std::uint64_t>(header.size()) >> shift) & 0xff));
  }
  return text + header + std::string(data_bytes, '\1');
}

void round_trip(Checks& checks) {
  const test::TemporaryFolder folder;
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const std::string name = "inputs/a\"b/c\n";
  CHECK(write_safetensors(folder / "s", {{name, DataType::kFloat32, {3, 2}, values.data()}},
                          {{"format", "edgesmith-samples"}, {"schema_version", "1.7"}}));
  const auto source = SampleSource::open(folder / "s");
  CHECK(source);
  if (!source) return;
  CHECK_EQUAL(*source->check_samples(), 3);
  const StoredTensor* tensor = source->find(name);
  CHECK(tensor != nullptr && source->find("inputs/a") == nullptr);
  if (tensor == nullptr) return;
  std::array<float, 2> sample{};
  CHECK(source->read_sample(*tensor, 2, sample.data()));
  CHECK_EQUAL(sample[1], 6.0F);
  CHECK(!source->read_sample(*tensor, 3, sample.data()));
  CHECK(!source->read_sample(*tensor, -1, sample.data()));
  std::array<float, 4> two{};
  CHECK(source->read_samples(*tensor, 1, 2, two.data()));
  CHECK_EQUAL(two[3], 6.0F);
  for (const auto& [first, count] : {std::pair{2, 2}, {-1, 2}, {3, 1}, {0, 0}}) {
    CHECK(!source->read_samples(*tensor, first, count, two.data()));
  }
  test::write_text(folder / "s", test::read_text(folder / "s").substr(0, 100));
  CHECK(!source->read_sample(*tensor, 2, sample.data()));
}

/// Small samples are read many at once, and are the same in whatever order they are asked for.
void samples_in_any_order(Checks& checks) {
  const test::TemporaryFolder folder;
  constexpr std::int64_t kCount = 70'000;
  std::vector<std::int32_t> values(kCount);
  std::iota(values.begin(), values.end(), 0);
  CHECK(write_safetensors(folder / "s",
                          {{"inputs/a", DataType::kInt32, {kCount, 1}, values.data()}},
                          {{"format", "edgesmith-samples"}, {"schema_version", "1.0"}}));
  const auto source = SampleSource::open(folder / "s");
  CHECK(source);
  if (!source) return;
  harness::SampleReader reader(*source, *source->find("inputs/a"));
  const auto gives_itself = [&](std::int64_t index) {
    std::int32_t value = -1;
    const Status status = reader.read(index, reinterpret_cast<unsigned char*>(&value));
    return status && value == index;
  };
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < kCount; ++i) right += gives_itself(i) ? 1 : 0;
  CHECK_EQUAL(right, kCount);
  for (const std::int64_t index : {0L, 69'999L, 16'384L, 16'383L, 0L}) CHECK(gives_itself(index));
  CHECK(!gives_itself(kCount) && !gives_itself(-1) && gives_itself(5));
}

void cut_anywhere(Checks& checks) {
  const test::TemporaryFolder folder;
  const std::string whole = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    test::write_text(folder / "cut", whole.substr(0, length));
    CHECK(!SampleSource::open(folder / "cut"));
  }
  test::write_text(folder / "cut", whole);
  CHECK(SampleSource::open(folder / "cut"));
}

void hostile_headers(Checks& checks) {
  const test::TemporaryFolder folder;
  const std::vector<std::string> headers{
      "[]",
      "{",
      "null",
      R"({"a":1})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
      R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})",
      R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"dtype":"F32"}})",
      R"({"__metadata__":{"k":"1","k":"2"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      R"({"__metadata__":[],"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      std::string(100000, '[')};
  for (const std::string& header : headers) {
    test::write_text(folder / "bad", file_of(header, 8));
    const auto source = SampleSource::open(folder / "bad");
    CHECK(!source && source.error().code == ErrorCode::kModelOrData);
  }
  test::write_text(folder / "bad", std::string(8, '\xff') + "{}");
  CHECK(!SampleSource::open(folder / "bad"));
  CHECK(!SampleSource::open(folder / "absent"));
  CHECK(!SampleSource::open("/dev/null"));
}

void samples_must_agree(Checks& checks) {
  const test::TemporaryFolder folder;
  const std::vector<float> values(6);
  const auto opened = [&](const std::map<std::string, std::string>& metadata, std::int64_t count) {
    const Status written = write_safetensors(folder / "s",
                                             {{"a", DataType::kFloat32, {3, 2}, values.data()},
                                              {"b", DataType::kFloat32, {count}, values.data()}},
                                             metadata);
    CHECK(written);
    return SampleSource::open(folder / "s");
  };
  const std::map<std::string, std::string> good{{"format", "edgesmith-samples"},
                                                {"schema_version", "1.0"}};
  CHECK(opened(good, 3)->check_samples());
  CHECK(!opened(good, 2)->check_samples());
  CHECK(!opened({}, 3)->check_samples());
  CHECK(!opened({{"format", "edgesmith-samples"}, {"schema_version", "2.0"}}, 3)->check_samples());
}

}  // namespace

int main() {
  return test::run_all({{"round_trip", round_trip},
                        {"samples_in_any_order", samples_in_any_order},
                        {"cut_anywhere", cut_anywhere},
                        {"hostile_headers", hostile_headers},
                        {"samples_must_agree", samples_must_agree}});
}
