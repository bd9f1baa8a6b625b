#include "evaluate.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "outputs_file.hpp"

namespace edgesmith::harness {
namespace {

/// Work on one output over all samples.
struct OutputPass {
  const TensorInfo* info = nullptr;
  const StoredTensor* reference = nullptr;
  std::vector<std::int64_t> dims;  ///< Of one sample; set after the first inference.
  bool divisible = true;           ///< The output splits into samples.
  OutputErrors result;
};

const StoredTensor* find_reference(const SampleSource& source, const ReferencePrefixes& references,
                                   const std::string& output) {
  for (const std::string& prefix : references.prefixes) {
    if (const StoredTensor* found = source.find(prefix + output)) return found;
  }
  return nullptr;
}

/// One number for each sample, or none.
Result<std::vector<std::int64_t>> read_numbers(const SampleSource& source,
                                               const std::string& name) {
  const StoredTensor* stored = source.find(name);
  if (stored == nullptr) return std::vector<std::int64_t>{};
  if (stored->type != DataType::kInt64 || stored->dims.size() != 1) {
    return Error{ErrorCode::kModelOrData, source.path() + ": " + name + " are not int64 [samples]"};
  }
  Result<std::vector<unsigned char>> bytes = source.read(*stored);
  if (!bytes) return bytes.error();
  std::vector<std::int64_t> numbers(bytes->size() / sizeof(std::int64_t));
  std::memcpy(numbers.data(), bytes->data(), bytes->size());
  return numbers;
}

class Evaluator {
 public:
  Evaluator(Session& session, ModelIo& io, const SampleSource& source, const OutputsWanted& wanted)
      : session_(session), io_(io), source_(source), wanted_(wanted) {}

  Status prepare(const ReferencePrefixes& references) {
    Result<std::vector<std::int64_t>> labels = read_numbers(source_, "labels");
    if (!labels) return labels.error();
    labels_ = std::move(*labels);
    Result<Groups> groups = read_numbers(source_, "groups");
    if (!groups) return groups.error();
    evaluation_.groups = std::move(*groups);
    for (const TensorInfo& info : session_.outputs()) {
      OutputPass pass;
      pass.info = &info;
      pass.result.output = info.name;
      pass.reference = find_reference(source_, references, info.name);
      if (pass.reference == nullptr) {
        pass.result.reason = "the samples hold no reference for this output";
      } else if (pass.reference->type != info.type) {
        pass.result.reason = "the reference is of another element type";
        pass.reference = nullptr;
      }
      passes_.push_back(std::move(pass));
    }
    return Done{};
  }

  Status run() {
    for (std::int64_t first = 0; first < io_.sample_count(); first += io_.batch()) {
      if (Status status = io_.load(first); !status) return status;
      if (Status status = session_.run(); !status) return status;
      if (first == 0) {
        for (OutputPass& pass : passes_) learn_shape(pass);
        if (Status status = open_outputs(); !status) return status;
      }
      const std::int64_t end = std::min(first + io_.batch(), io_.sample_count());
      for (std::int64_t sample = first; sample < end; ++sample) {
        for (OutputPass& pass : passes_) {
          Status status = take(pass, sample, sample - first);
          if (!status) return status;
        }
      }
    }
    return close_outputs();
  }

  Evaluation finish() {
    for (OutputPass& pass : passes_) evaluation_.outputs.push_back(std::move(pass.result));
    return std::move(evaluation_);
  }

 private:
  /// Learns the shape of one sample's part of an output, and whether it can be compared.
  void learn_shape(OutputPass& pass) {
    Result<std::vector<std::int64_t>> dims = io_.sample_dims(*pass.info);
    if (!dims) {
      pass.divisible = false;
      pass.result.reason = dims.error().message;
      return;
    }
    pass.dims = std::move(*dims);
    if (pass.reference != nullptr && pass.reference->sample_dims() != pass.dims) {
      pass.result.reason = "the output is " + dims_text(pass.dims) +
                           " for a sample, its reference " +
                           dims_text(pass.reference->sample_dims());
      pass.reference = nullptr;
    }
  }

  Status open_outputs() {
    if (wanted_.path.empty()) return Done{};
    std::vector<TensorToWrite> outputs;
    for (const OutputPass& pass : passes_) {
      if (!pass.divisible) return give_up({ErrorCode::kModelOrData, pass.result.reason});
      outputs.push_back({pass.info->name, pass.info->type, pass.dims, nullptr});
    }
    Result<OutputsFile> file = OutputsFile::create(wanted_.path, outputs, io_.sample_count());
    if (!file) return give_up(file.error());
    file_.emplace(std::move(*file));
    return Done{};
  }

  Status close_outputs() {
    if (!file_) return Done{};
    Status status = file_->close();
    return status ? Done{} : give_up(status.error());
  }

  /// The outputs are not written; nothing of them stays.
  Status give_up(const Error& error) {
    file_.reset();
    if (wanted_.required) return error;
    evaluation_.unwritten = error.message;
    return Done{};
  }

  Status keep(const OutputPass& pass, std::int64_t sample,
              const std::vector<unsigned char>& bytes) {
    if (!file_) return Done{};
    const auto index = static_cast<std::size_t>(&pass - passes_.data());
    Status status = file_->put(index, sample, bytes);
    return status ? Done{} : give_up(status.error());
  }

  Status take(OutputPass& pass, std::int64_t sample, std::int64_t position) {
    if (!pass.divisible) return Done{};
    Result<std::vector<unsigned char>> bytes = io_.output_part(*pass.info, pass.dims, position);
    if (!bytes) return bytes.error();
    if (Status status = keep(pass, sample, *bytes); !status) return status;
    const std::vector<double> values = to_doubles(pass.info->type, bytes->data(), bytes->size());
    std::vector<double> reference;
    if (pass.reference != nullptr) {
      std::vector<unsigned char> stored(pass.reference->sample_bytes());
      if (Status status = source_.read_sample(*pass.reference, sample, stored.data()); !status) {
        return status;
      }
      reference = to_doubles(pass.reference->type, stored.data(), stored.size());
      pass.result.errors.push_back(compare_sample(values, reference));
    }
    if (&pass == &passes_.front()) compare_classes(values, reference, sample);
    return Done{};
  }

  void compare_classes(const std::vector<double>& values, const std::vector<double>& reference,
                       std::int64_t sample) {
    evaluation_.classes = static_cast<std::int64_t>(values.size());
    if (values.size() >= 2 && !reference.empty()) {
      const std::int64_t best = argmax(values);
      evaluation_.agreement.push_back(best >= 0 && best == argmax(reference));
    }
    if (labels_.empty() || !evaluation_.labels_reason.empty()) return;
    const std::int64_t label = labels_[static_cast<std::size_t>(sample)];
    if (std::string reason = why_unlabelled(label, sample); !reason.empty()) {
      evaluation_.labels_reason = std::move(reason);
      evaluation_.top1.clear();
      evaluation_.top5.clear();
      return;
    }
    evaluation_.top1.push_back(in_top(values, label, 1));
    if (values.size() > 5) evaluation_.top5.push_back(in_top(values, label, 5));
  }

  /// Why the label of a sample cannot be compared with its output.
  std::string why_unlabelled(std::int64_t label, std::int64_t sample) const {
    if (evaluation_.classes < 2) {
      return "labels need an output of two classes or more, the first output has " +
             std::to_string(evaluation_.classes) + " for a sample";
    }
    if (label >= 0 && label < evaluation_.classes) return {};
    return "the label " + std::to_string(label) + " of sample " + std::to_string(sample) +
           " is no class of the first output's " + std::to_string(evaluation_.classes);
  }

  Session& session_;
  ModelIo& io_;
  const SampleSource& source_;
  const OutputsWanted& wanted_;
  std::optional<OutputsFile> file_;
  std::vector<std::int64_t> labels_;
  std::vector<OutputPass> passes_;
  Evaluation evaluation_;
};

}  // namespace

Result<Evaluation> evaluate(Session& session, ModelIo& io, const SampleSource& source,
                            const ReferencePrefixes& references, const OutputsWanted& wanted) {
  Evaluator evaluator(session, io, source, wanted);
  if (Status status = evaluator.prepare(references); !status) return status.error();
  if (Status status = evaluator.run(); !status) return status.error();
  return evaluator.finish();
}

}  // namespace edgesmith::harness
