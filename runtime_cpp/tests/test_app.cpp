#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "check.hpp"
#include "edgesmith/app.hpp"
#include "programs.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::Checks;

const std::string kImages = std::string(EDGESMITH_TEST_DATA) + "/images/";

TensorInfo tensor(std::string name, DataType type, std::vector<std::int64_t> dims,
                  std::vector<std::string> names) {
  names.resize(dims.size());
  return {std::move(name), type, std::move(dims), std::move(names)};
}

std::string npy(const std::string& descr, const std::string& shape, std::size_t bytes) {
  const std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + "}";
  return std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' + header +
         std::string(bytes, '\1');
}

/// Input files in a folder of their own.
class Files {
 public:
  explicit Files(std::vector<TensorInfo> declared) : declared_(std::move(declared)) {}

  Files& file(const std::string& input, const std::string& name, const std::string& content) {
    test::write_text(folder_ / name, content);
    files_.push_back({input, folder_ / name});
    return *this;
  }
  Files& at(const std::string& input, const std::string& path) {
    files_.push_back({input, path});
    return *this;
  }
  Result<std::vector<Tensor>> read() const { return read_inputs(declared_, files_); }
  std::string error() const {
    const auto tensors = read();
    return tensors ? "" : std::to_string(exit_code(tensors.error())) + tensors.error().message;
  }

 private:
  test::TemporaryFolder folder_;
  std::vector<TensorInfo> declared_;
  std::vector<InputFile> files_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const TensorInfo kVector = tensor("x", DataType::kFloat32, {-1, 4}, {"batch"});
const TensorInfo kMask = tensor("m", DataType::kBool, {-1, -1}, {"batch", "steps"});

void sizes_come_from_files(Checks& checks) {
  const auto both = Files({kVector, kMask})
                        .file("m", "m.npy", npy("|b1", "(3, 5)", 15))
                        .file("x", "x.raw", std::string(48, 'a'))
                        .read();
  CHECK(both && (*both)[0].dims == std::vector<std::int64_t>({3, 4}));
  CHECK(both && (*both)[1].dims == std::vector<std::int64_t>({3, 5}));
  const auto one = Files({kVector}).file("x", "x.raw", std::string(32, 'a')).read();
  CHECK(one && (*one)[0].dims == std::vector<std::int64_t>({2, 4}));
  // The mask's length follows from its file, once another file has told the batch.
  const auto mask = Files({kMask, kVector})
                        .file("m", "m.raw", std::string(6, '\1'))
                        .file("x", "x.npy", npy("<f4", "(2, 4)", 32))
                        .read();
  CHECK(mask && (*mask)[0].dims == std::vector<std::int64_t>({2, 3}));
}

void files_that_do_not_fit(Checks& checks) {
  const auto error = [](const TensorInfo& info, const std::string& name, const std::string& text) {
    return Files({info}).file(info.name, name, text).error();
  };
  CHECK(has(error(kVector, "x.npy", npy("<f8", "(1, 4)", 32)), "float64"));
  CHECK(has(error(kVector, "x.npy", npy("<f4", "(4,)", 16)), "[batch, 4]"));
  CHECK(has(error(kVector, "x.npy", npy("<f4", "(1, 5)", 20)), "[1, 5]"));
  CHECK(has(error(kVector, "x.npy", ""), "3"));
  CHECK(has(error(kVector, "x.raw", ""), "it is empty"));
  CHECK(has(error(kVector, "x.raw", std::string(17, 'a')), "17 bytes"));
  CHECK(has(error(kMask, "m.raw", std::string(6, '\1')), "can't be told"));
  CHECK(has(error(kMask, "m.npy", npy("|b1", "(1, 2)", 1) + '\2'), "0 and 1"));
  CHECK(has(error(kVector, "x.png", test::read_text(kImages + "rgb.png")), "[preprocess]"));
  CHECK(has(error(kVector, "x.jpg", "text"), ".npy, .raw and .png"));
  CHECK(has(error(kVector, "x", "text"), ".npy, .raw and .png"));
  Files disagreeing({kVector, kMask});
  disagreeing.file("x", "x.npy", npy("<f4", "(2, 4)", 32))
      .file("m", "m.npy", npy("|b1", "(3, 1)", 3));
  CHECK(has(disagreeing.error(), "dimension 'batch' is 3 here and 2 in input 'x'"));
  CHECK(has(Files({tensor("h", DataType::kBFloat16, {4}, {})})
                .file("h", "h.npy", npy("<f2", "(4,)", 8))
                .error(),
            "bfloat16"));
}

void files_that_are_not_there(Checks& checks) {
  CHECK_EQUAL(Files({kVector}).at("x", "/nonexistent.npy").error().substr(0, 2), "10");
  CHECK_EQUAL(Files({kVector}).at("x", "/proc/self/fd.npy").error().substr(0, 2), "10");
  const test::TemporaryFolder folder;
  test::write_text(folder / "folder.npy/file", "");
  CHECK(has(Files({kVector}).at("x", folder / "folder.npy").error(), "not a regular file"));
  CHECK(has(Files({kVector, kMask}).at("x", "a.npy").error(), "2input 'm' (bool [batch, steps])"));
  CHECK(has(Files({kVector}).at("x", "a.npy").at("x", "b.npy").error(), "several files"));
}

void layouts_of_images(Checks& checks) {
  const auto read = [](std::vector<std::int64_t> dims, const std::string& image) {
    const TensorInfo info = tensor("x", DataType::kUInt8, std::move(dims), {"n", "a", "b", "c"});
    return Files({info}).at("x", kImages + image + ".png").read();
  };
  const auto last = read({-1, 3, 4, 3}, "rgb");
  const auto first = read({1, 3, 3, 4}, "rgb");
  CHECK(last && last->front().dims == std::vector<std::int64_t>({1, 3, 4, 3}));
  CHECK(first && first->front().dims == std::vector<std::int64_t>({1, 3, 3, 4}));
  if (last && first) {
    for (std::size_t i = 0; i < 36; ++i) {
      CHECK_EQUAL(last->front().data[i], first->front().data[i % 3 * 12 + i / 3]);
    }
  }
  CHECK(read({3, 4, 3}, "rgb") && read({3, 3, 4}, "rgb") && read({3, 4, 4}, "rgba"));
  CHECK(read({1, 3, 4}, "grey") && read({3, 4, 1}, "grey") && read({3, 4, 3}, "grey"));
  const auto open = read({1, -1, -1, 3}, "rgb");
  CHECK(open && open->front().dims == std::vector<std::int64_t>({1, 3, 4, 3}));
  for (const std::vector<std::int64_t>& dims :
       std::vector<std::vector<std::int64_t>>{{2, 3, 4, 3},
                                              {1, 4, 3, 3},
                                              {1, 3, 4, 2},
                                              {1, 3, 4, -1},
                                              {3, 4},
                                              {1, 1, 1, 3, 4},
                                              {1, 3, 224, 224},
                                              {3, 4, 1}}) {
    CHECK(!read(dims, "rgb"));
  }
  CHECK(!read({3, 4, 3}, "rgba") && !read({3, 4, 1}, "grey16"));
  // Eight channels would be no image, and three first or last are one each.
  CHECK(!read({8, 8, 8}, "large") && read({1, 8, 8}, "large"));
  CHECK(!read({1, -1, 1}, "large"));
}

AppModel app_model() {
  return {
      "x-app",
      "x",
      "1.0.0",
      "model/int8.onnx",
      {kVector, tensor("a=b", DataType::kInt8, {1}, {}), tensor("a", DataType::kInt8, {1}, {})}};
}

Result<AppOptions> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "x-app");
  return parse_app_options(app_model(), static_cast<int>(words.size()), words.data());
}

void command_lines(Checks& checks) {
  const auto plain = parse({});
  CHECK(plain && !plain->json && !plain->help && has(plain->model_path, "model/int8.onnx"));
  const auto full = parse({"--input", "x=f=g.npy", "--input=a=b=h.raw", "--json", "--model", "m"});
  CHECK(full && full->json && full->model_path == "m" && full->inputs.size() == 2);
  CHECK(full && full->inputs[0].path == "f=g.npy" && full->inputs[1].name == "a=b");
  CHECK(full && full->inputs[1].path == "h.raw");
  CHECK_EQUAL(parse({"--input", "a=c=h.raw"})->inputs[0].path, "c=h.raw");
  CHECK(parse({"--help"})->help);
  const std::vector<std::vector<const char*>> wrong{{"x"},
                                                    {""},
                                                    {"--input"},
                                                    {"--input", "x"},
                                                    {"--input", "x="},
                                                    {"--input", "y=f"},
                                                    {"--input", ""},
                                                    {"--jso"},
                                                    {"--json=1"},
                                                    {"--help=1"},
                                                    {"--model"},
                                                    {"--samples", "s", "--input", "x=f"}};
  for (const auto& words : wrong) {
    const auto options = parse(words);
    CHECK(!options && options.error().code == ErrorCode::kUsage);
  }
  CHECK(has(parse({"--input", "y=f"}).error().message, "did you mean 'x'?"));
  CHECK(has(parse({"--input", "image=f"}).error().message, "known: 'x'"));
  CHECK(has(parse({"--version"}).error().message, "known: --input, --model"));
  CHECK(has(app_help(app_model()), "x  float32 [batch, 4]"));
  CHECK(parse_app_options(app_model(), 0, nullptr));
}

void results_as_json(Checks& checks) {
  const std::array<float, 3> floats{1.5F, std::numeric_limits<float>::quiet_NaN(),
                                    -std::numeric_limits<float>::infinity()};
  const std::array<std::int64_t, 2> wide{INT64_MAX, INT64_MIN};
  const std::array<bool, 2> flags{true, false};
  const std::vector<AppOutput> outputs{
      {"a\"\n\x9b", DataType::kFloat32, {1, 3}, floats.data(), sizeof(floats)},
      {"b", DataType::kInt64, {2}, wide.data(), sizeof(wide)},
      {"c", DataType::kBool, {2}, flags.data(), sizeof(flags)},
      {"d", DataType::kUInt8, {0}, nullptr, 0}};
  AppOptions options;
  options.json = true;
  options.inputs = {{"x", "f"}};
  AppResults results(app_model(), options);
  results.add(outputs);
  const std::string text = results.text();
  CHECK(text.find('\n') == text.size() - 1);
  const json document = json::parse(text, nullptr, false);
  CHECK(document.is_object() && document["outputs"].size() == 4);
  CHECK_EQUAL(document["outputs"][0]["data"], json({1.5, nullptr, nullptr}));
  CHECK_EQUAL(document["outputs"][0]["shape"], json({1, 3}));
  CHECK_EQUAL(document["outputs"][1]["data"], json({INT64_MAX, INT64_MIN}));
  CHECK_EQUAL(document["outputs"][1]["dtype"], json("int64"));
  CHECK_EQUAL(document["outputs"][2]["data"], json({true, false}));
  CHECK_EQUAL(document["outputs"][3]["data"], json::array());
  options.inputs.clear();
  AppResults samples(app_model(), options);
  samples.add(outputs);
  samples.add(outputs);
  CHECK_EQUAL(json::parse(samples.text())["samples"].size(), 2U);
}

void results_as_text(Checks& checks) {
  std::vector<float> many(12, 0);
  many[11] = 2;
  const AppOptions options;
  AppResults results(app_model(), options);
  results.add({{"o\n*/", DataType::kFloat32, {12}, many.data(), many.size() * sizeof(float)}});
  const std::string shown_name = R"(o\n*/)";
  CHECK_EQUAL(results.text(),
              "x 1.0.0, 1 samples\nsample 0\n  " + shown_name +
                  " float32 [12]: 0 0 0 0 0 0 0 0 0 0 ...  (largest: element 11)\n");
}

void samples_as_inputs(Checks& checks) {
  const std::string data = EDGESMITH_TEST_DATA;
  AppOptions options;
  options.samples_path = data + "/tiny.safetensors";
  const TensorInfo input = tensor(R"(x"; system("id"); //)", DataType::kFloat32, {-1, 4}, {"n"});
  const auto inputs = AppInputs::open(options, {input});
  CHECK(inputs && inputs->count() == 16 && inputs->dims(0) == std::vector<std::int64_t>({1, 4}));
  std::array<float, 4> values{};
  CHECK(inputs && inputs->copy(15, 0, values.data(), sizeof(values)) && values[3] != 0);
  CHECK(inputs && !inputs->copy(16, 0, values.data(), sizeof(values)));
  CHECK(inputs && !inputs->copy(0, 0, values.data(), 12));
  CHECK(!AppInputs::open(options, {kVector}));
  options.samples_path = "/nonexistent";
  CHECK(!AppInputs::open(options, {input}));
}

}  // namespace

int main() {
  return test::run_all({{"sizes_come_from_files", sizes_come_from_files},
                        {"files_that_do_not_fit", files_that_do_not_fit},
                        {"files_that_are_not_there", files_that_are_not_there},
                        {"layouts_of_images", layouts_of_images},
                        {"command_lines", command_lines},
                        {"results_as_json", results_as_json},
                        {"results_as_text", results_as_text},
                        {"samples_as_inputs", samples_as_inputs}});
}
