#include "model_io.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "memory_limit.hpp"

namespace edgesmith::harness {
namespace {

Error bad(const std::string& message) { return {ErrorCode::kModelOrData, message}; }

/// Dimension names asked for that no input has.
Status check_names(const Session& session, const Shape& shape) {
  std::set<std::string> known;
  for (const TensorInfo& input : session.inputs()) {
    for (const std::string& name : input.dim_names) {
      if (!name.empty()) known.insert(name);
    }
  }
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  for (const auto& [name, size] : shape) {
    if (known.count(name) != 0) continue;
    return bad("the model has no dynamic dimension named '" + name + "'; it has " +
               (list.empty() ? "none" : list));
  }
  return Done{};
}

}  // namespace

Result<ModelIo> ModelIo::create(Session& session, const SampleSource& source, const Shape& shape) {
  Result<std::int64_t> count = source.check_samples();
  if (!count) return count.error();
  if (Status status = check_names(session, shape); !status) return status.error();
  ModelIo io(session, source);
  io.sample_count_ = *count;
  for (const TensorInfo& input : session.inputs()) {
    if (Status status = io.plan_input(input, shape); !status) return status.error();
  }
  for (std::size_t i = 0; i < io.inputs_.size(); ++i) {
    Input& input = io.inputs_[i];
    const TensorInfo& info = session.inputs()[i];
    Status status = allocate(input.buffer, info.type, input.dims);
    if (!status) return bad("input '" + info.name + "': " + status.error().message);
    status = session.bind_input(info.name, info.type, input.buffer.data.get(), input.buffer.bytes,
                                input.dims);
    if (!status) return status.error();
  }
  io.outputs_.resize(session.outputs().size());
  for (const TensorInfo& output : session.outputs()) {
    if (Status status = io.bind_output(output); !status) return status.error();
  }
  return io;
}

Status ModelIo::allocate(Buffer& buffer, DataType type, const std::vector<std::int64_t>& dims) {
  const std::size_t width = element_bytes(type);
  const std::optional<std::int64_t> count = element_count(dims);
  if (!count || static_cast<std::uint64_t>(*count) > UINT64_MAX / width ||
      !fits_memory(static_cast<std::uint64_t>(*count) * width)) {
    return too_large(dims, width);
  }
  buffer.bytes = static_cast<std::size_t>(*count) * width;
  // Never empty: libraries take a null pointer for a missing one.
  auto data = allocate_elements<unsigned char>({static_cast<std::int64_t>(buffer.bytes) + 1});
  if (!data) return too_large(dims, width);
  buffer.data = std::move(*data);
  return Done{};
}

Status ModelIo::plan_input(const TensorInfo& info, const Shape& shape) {
  const StoredTensor* stored = source_->find("inputs/" + info.name);
  if (stored == nullptr) {
    return bad(source_->path() + " has no tensor 'inputs/" + info.name +
               "'; samples hold one for each input of the model");
  }
  if (stored->type != info.type) {
    return bad("input '" + info.name + "' is " + std::string(data_type_name(info.type)) +
               ", the samples hold " + std::string(data_type_name(stored->type)));
  }
  Input input{stored->sample_dims(), 1, {}, SampleReader(*source_, *stored)};
  if (input.dims.size() != info.dims.size()) {
    return bad("input '" + info.name + "' is declared as " + dims_text(info.dims) +
               " (-1: any), the samples have " + dims_text(input.dims));
  }
  for (std::size_t axis = 0; axis < input.dims.size(); ++axis) {
    const auto wanted = shape.find(info.dim_names[axis]);
    if (info.dim_names[axis].empty() || wanted == shape.end()) continue;
    std::int64_t& dim = input.dims[axis];
    if (wanted->second == dim) continue;
    if (axis != 0 || dim < 1 || wanted->second % dim != 0) {
      return bad("dimension '" + wanted->first + "' of input '" + info.name + "' cannot be " +
                 std::to_string(wanted->second) + ": the samples have " + std::to_string(dim));
    }
    input.copies = wanted->second / dim;
    dim = wanted->second;
  }
  if (input.copies != 1) {
    if (batch_ != 1 && batch_ != input.copies) {
      return bad("the inputs do not agree on how many samples make the wanted shape");
    }
    batch_ = input.copies;
  }
  if (Status status = note_symbols(info, input.dims); !status) return status;
  inputs_.push_back(std::move(input));
  return Done{};
}

Status ModelIo::note_symbols(const TensorInfo& info, const std::vector<std::int64_t>& dims) {
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    const std::string& name = info.dim_names[axis];
    if (name.empty()) continue;
    const auto [entry, is_new] = symbols_.emplace(name, dims[axis]);
    if (!is_new && entry->second != dims[axis]) {
      return bad("dimension '" + name + "' would be " + std::to_string(entry->second) + " and " +
                 std::to_string(dims[axis]) + " at once");
    }
  }
  return Done{};
}

Status ModelIo::bind_output(const TensorInfo& info) {
  std::vector<std::int64_t> dims = info.dims;
  bool known = true;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] >= 0) continue;
    const auto symbol = symbols_.find(info.dim_names[axis]);
    known = known && !info.dim_names[axis].empty() && symbol != symbols_.end();
    if (known) dims[axis] = symbol->second;
  }
  const auto index = static_cast<std::size_t>(&info - session_->outputs().data());
  if (!known) {
    preallocated_ = false;
    return session_->bind_output_to_runtime(info.name);
  }
  Buffer& buffer = outputs_[index];
  if (Status status = allocate(buffer, info.type, dims); !status) {
    return bad("output '" + info.name + "': " + status.error().message);
  }
  return session_->bind_output(info.name, info.type, buffer.data.get(), buffer.bytes, dims);
}

std::vector<BoundInput> ModelIo::inputs() const {
  std::vector<BoundInput> list;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    list.push_back(
        {&session_->inputs()[i], input.buffer.data.get(), input.buffer.bytes, input.dims});
  }
  return list;
}

Status ModelIo::load(std::int64_t first) {
  for (Input& input : inputs_) {
    const std::size_t bytes = input.buffer.bytes / static_cast<std::size_t>(input.copies);
    for (std::int64_t copy = 0; copy < input.copies; ++copy) {
      unsigned char* target = input.buffer.data.get() + static_cast<std::size_t>(copy) * bytes;
      const std::int64_t index = (first + copy) % sample_count_;
      if (Status status = input.reader.read(index, target); !status) {
        return status;
      }
    }
  }
  return Done{};
}

Result<std::vector<std::int64_t>> ModelIo::sample_dims(const TensorInfo& output) const {
  Result<OutputView> view = session_->output(output.name);
  if (!view) return view.error();
  std::vector<std::int64_t> dims = view->dims;
  if (batch_ == 1) return dims;
  if (dims.empty() || dims[0] % batch_ != 0) {
    return bad("output '" + output.name + "' of shape " + dims_text(dims) +
               " does not divide into " + std::to_string(batch_) + " samples");
  }
  dims[0] /= batch_;
  return dims;
}

Result<std::vector<unsigned char>> ModelIo::output_part(
    const TensorInfo& output, const std::vector<std::int64_t>& sample_dims,
    std::int64_t position) const {
  Result<OutputView> view = session_->output(output.name);
  if (!view) return view.error();
  Result<std::vector<std::int64_t>> dims = this->sample_dims(output);
  if (!dims) return dims.error();
  if (*dims != sample_dims) {
    return bad("output '" + output.name + "' is " + dims_text(*dims) + " for a sample, expected " +
               dims_text(sample_dims));
  }
  const auto size = view->bytes / static_cast<std::size_t>(batch_);
  std::vector<unsigned char> part(size);
  if (size > 0) {
    const auto* data = static_cast<const unsigned char*>(view->data);
    std::memcpy(part.data(), data + static_cast<std::size_t>(position) * size, size);
  }
  return part;
}

}  // namespace edgesmith::harness
