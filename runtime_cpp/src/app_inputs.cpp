#include "edgesmith/app.hpp"
#include "known_sizes.hpp"
#include "shown.hpp"

namespace edgesmith {

Result<AppInputs> AppInputs::open(const AppOptions& options,
                                  const std::vector<TensorInfo>& declared) {
  AppInputs inputs;
  if (!options.inputs.empty()) {
    Result<std::vector<Tensor>> tensors = read_inputs(declared, options.inputs);
    if (!tensors) return tensors.error();
    inputs.tensors_ = std::move(*tensors);
    for (const Tensor& tensor : inputs.tensors_) inputs.dims_.push_back(tensor.dims);
    return inputs;
  }
  Result<SampleSource> samples = SampleSource::open(options.samples_path);
  if (!samples) return samples.error();
  const Result<std::int64_t> count = samples->check_samples();
  if (!count) return count.error();
  inputs.count_ = *count;
  const Status found = inputs.find_samples(*samples, declared);
  if (!found) return found.error();
  inputs.samples_ = std::move(*samples);
  return inputs;
}

Status AppInputs::find_samples(const SampleSource& samples,
                               const std::vector<TensorInfo>& declared) {
  KnownSizes known;
  for (const TensorInfo& info : declared) {
    const StoredTensor* stored = samples.find("inputs/" + info.name);
    Status status = Done{};
    if (stored == nullptr || stored->type != info.type || !fits(info, stored->sample_dims())) {
      status = Error{ErrorCode::kModelOrData, "there are no samples that fit it"};
    } else {
      status = known.settle(info, stored->sample_dims());
    }
    if (!status) {
      return Error{status.error().code, samples.path() + " for input " + in_quotes(info.name) +
                                            ": " + status.error().message};
    }
    dims_.push_back(stored->sample_dims());
    stored_names_.push_back("inputs/" + info.name);
  }
  return Done{};
}

Status AppInputs::copy(std::int64_t inference, std::size_t input, void* destination,
                       std::size_t bytes) const {
  if (!samples_) return copy_to(tensors_[input], destination, bytes);
  const StoredTensor* stored = samples_->find(stored_names_[input]);
  if (stored == nullptr || stored->sample_bytes() != bytes) {
    return Error{ErrorCode::kModelOrData, samples_->path() + ": a sample does not fill the input"};
  }
  return samples_->read_sample(*stored, inference, destination);
}

}  // namespace edgesmith
