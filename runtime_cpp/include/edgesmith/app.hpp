/// \file
/// What an example program needs around a model's typed API: a command line, inputs from files or
/// from stored samples, and outputs as text or JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/input_file.hpp"
#include "edgesmith/result.hpp"
#include "edgesmith/samples.hpp"
#include "edgesmith/tensor.hpp"

namespace edgesmith {

/// A program and the model that it runs.
struct AppModel {
  std::string program;
  std::string name;
  std::string version;
  std::string default_file;  ///< Relative to the folder above the program's.
  std::vector<TensorInfo> inputs;
};

struct AppOptions {
  bool help = false;
  bool json = false;
  std::string model_path;
  std::string samples_path;       ///< Used where there are no input files.
  std::vector<InputFile> inputs;  ///< For names that the model has; not each need be there.
};

/// The files beside the program, unless the command line names others.
/// \return kUsage with the nearest known option or input name.
Result<AppOptions> parse_app_options(const AppModel& model, int argc, const char* const* argv);

/// The text of --help.
std::string app_help(const AppModel& model);

/// Everything that the model is to be run on, one inference after another.
class AppInputs {
 public:
  /// \param declared The model's inputs; dynamic dimensions of one name have one size.
  /// \return as read_inputs, or as SampleSource::open.
  static Result<AppInputs> open(const AppOptions& options, const std::vector<TensorInfo>& declared);

  std::int64_t count() const { return count_; }

  /// Dimensions of an input; the same in every inference.
  const std::vector<std::int64_t>& dims(std::size_t input) const { return dims_[input]; }

  /// Copies the input of one inference to memory of exactly its size.
  Status copy(std::int64_t inference, std::size_t input, void* destination,
              std::size_t bytes) const;

 private:
  AppInputs() = default;
  Status find_samples(const SampleSource& samples, const std::vector<TensorInfo>& declared);

  std::int64_t count_ = 1;
  std::vector<std::vector<std::int64_t>> dims_;
  std::vector<Tensor> tensors_;
  std::optional<SampleSource> samples_;
  std::vector<std::string> stored_names_;
};

/// An output after an inference; `data` is read at once.
struct AppOutput {
  std::string name;
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> dims;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

/// Collects outputs and gives them as one text or one JSON document.
class AppResults {
 public:
  AppResults(const AppModel& model, const AppOptions& options);
  AppResults(const AppResults&) = delete;
  AppResults& operator=(const AppResults&) = delete;
  AppResults(AppResults&&) noexcept;
  AppResults& operator=(AppResults&&) noexcept;
  ~AppResults();

  /// Adds the outputs of an inference.
  void add(const std::vector<AppOutput>& outputs);

  /// Text: the first elements of every output. JSON: all elements in C order, null where one is not
  /// finite.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edgesmith
