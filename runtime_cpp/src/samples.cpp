#include "edgesmith/samples.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "file.hpp"
#include "memory_limit.hpp"
#include "shown.hpp"
#include "strict_json.hpp"

namespace edgesmith {
namespace {

using nlohmann::json;

// Far more than any list of tensors needs; a hostile size must not become an allocation.
constexpr std::uint64_t kHeaderLimitBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kMaximumRank = 32;
// Less than any size_t holds.
constexpr std::uint64_t kReadLimitBytes = std::uint64_t{1} << 30;

Error bad(const std::string& path, const std::string& what) {
  return {ErrorCode::kModelOrData,
          path + " is not a sound safetensors file: " + what + "; copy or make it again"};
}

Result<StoredTensor> parse_tensor(const json& entry, std::uint64_t data_start,
                                  std::uint64_t data_bytes) {
  const Error malformed{ErrorCode::kModelOrData, "malformed entry"};
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2) {
    return malformed;
  }
  StoredTensor tensor;
  const auto type = data_type_from_safetensors(entry["dtype"].get_ref<const std::string&>());
  if (!type) return Error{ErrorCode::kModelOrData, "dtype not supported"};
  tensor.type = *type;
  if (entry["shape"].size() > kMaximumRank) return malformed;
  for (const json& dim : entry["shape"]) {
    if (!dim.is_number_unsigned() || dim.get<std::uint64_t>() > INT64_MAX) return malformed;
    tensor.dims.push_back(dim.get<std::int64_t>());
  }
  const json& offsets = entry["data_offsets"];
  if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) return malformed;
  const auto begin = offsets[0].get<std::uint64_t>();
  const auto end = offsets[1].get<std::uint64_t>();
  if (begin > end || end > data_bytes) {
    return Error{ErrorCode::kModelOrData, "data lies outside the file"};
  }
  const std::optional<std::int64_t> count = element_count(tensor.dims);
  const std::uint64_t width = element_bytes(tensor.type);
  if (!count || static_cast<std::uint64_t>(*count) > data_bytes / width ||
      static_cast<std::uint64_t>(*count) * width != end - begin) {
    return Error{ErrorCode::kModelOrData, "shape and data size differ"};
  }
  tensor.offset_bytes = data_start + begin;
  tensor.bytes = end - begin;
  return tensor;
}

/// The format wants every byte behind the header to belong to exactly one tensor.
Status check_coverage(const std::map<std::string, StoredTensor>& tensors, std::uint64_t data_start,
                      std::uint64_t data_bytes) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.bytes > 0) ranges.emplace_back(tensor.offset_bytes, tensor.bytes);
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t covered = data_start;
  for (const auto& [offset, bytes] : ranges) {
    if (offset < covered) return bad_data("tensors overlap");
    if (offset > covered) return bad_data("bytes between tensors belong to none");
    covered = offset + bytes;
  }
  if (covered != data_start + data_bytes) {
    return bad_data(std::to_string(data_start + data_bytes - covered) +
                    " bytes at its end belong to no tensor");
  }
  return Done{};
}

Status parse_header(const std::string& text, std::uint64_t data_start, std::uint64_t data_bytes,
                    std::map<std::string, StoredTensor>& tensors,
                    std::map<std::string, std::string>& metadata) {
  const Result<json> parsed = parse_strict_json(text);
  if (!parsed) return bad_data("its header " + parsed.error().message);
  const json& header = *parsed;
  if (!header.is_object()) return bad_data("its header is not a JSON object");
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) return bad_data("its metadata is no object");
      for (const auto& [key, value] : entry.items()) {
        if (value.is_string()) metadata[key] = value.get<std::string>();
      }
      continue;
    }
    Result<StoredTensor> tensor = parse_tensor(entry, data_start, data_bytes);
    if (!tensor) {
      return bad_data("tensor " + in_quotes(name) + ": " + tensor.error().message);
    }
    tensors.emplace(name, std::move(*tensor));
  }
  return check_coverage(tensors, data_start, data_bytes);
}

std::uint64_t tensor_bytes(const TensorToWrite& tensor) {
  const auto count = static_cast<std::uint64_t>(element_count(tensor.dims).value_or(0));
  return count * element_bytes(tensor.type);
}

}  // namespace

std::uint64_t StoredTensor::sample_bytes() const {
  return sample_count() == 0 ? 0 : bytes / static_cast<std::uint64_t>(sample_count());
}

std::vector<std::int64_t> StoredTensor::sample_dims() const {
  return dims.empty() ? dims : std::vector<std::int64_t>(dims.begin() + 1, dims.end());
}

SampleSource::SampleSource(SampleSource&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      tensors_(std::move(other.tensors_)),
      metadata_(std::move(other.metadata_)) {}

SampleSource& SampleSource::operator=(SampleSource&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(tensors_, other.tensors_);
  std::swap(metadata_, other.metadata_);
  return *this;
}

SampleSource::~SampleSource() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<SampleSource> SampleSource::open(const std::string& path) {
  SampleSource source;
  source.path_ = path;
  Result<OpenFile> file = open_file(path);
  if (!file) return file.error();
  source.descriptor_ = file->descriptor.release();
  const std::uint64_t file_bytes = file->bytes;
  std::array<unsigned char, kLengthBytes> length{};
  if (file_bytes < kLengthBytes) return bad(path, "it is shorter than its length field");
  if (Status status = source.read_at(0, length.data(), kLengthBytes); !status) {
    return status.error();
  }
  std::uint64_t header_bytes = 0;
  for (std::size_t i = length.size(); i-- > 0;) header_bytes = header_bytes << 8 | length[i];
  if (header_bytes > kHeaderLimitBytes) return bad(path, "its header is too large");
  if (header_bytes > file_bytes - kLengthBytes) return bad(path, "its header is cut off");
  std::string text(static_cast<std::size_t>(header_bytes), '\0');
  if (Status status = source.read_at(kLengthBytes, text.data(), header_bytes); !status) {
    return status.error();
  }
  const std::uint64_t start = kLengthBytes + header_bytes;
  Status parsed = parse_header(text, start, file_bytes - start, source.tensors_, source.metadata_);
  if (!parsed) return bad(path, parsed.error().message);
  return source;
}

Result<std::int64_t> SampleSource::check_samples() const {
  const auto text = [this](const char* key) {
    const auto found = metadata_.find(key);
    return found == metadata_.end() ? std::string() : found->second;
  };
  const auto fail = [this](const std::string& what) {
    return Error{ErrorCode::kModelOrData, path_ + ": " + what};
  };
  if (text("format") != "edgesmith-samples") {
    return fail(
        "the metadata do not say format edgesmith-samples; use samples that edgesmith made");
  }
  const std::string version = text("schema_version");
  if (version.substr(0, version.find('.')) != "1") {
    return fail("samples of schema version '" + version + "'; this program reads version 1");
  }
  std::int64_t count = -1;
  for (const auto& [name, tensor] : tensors_) {
    if (count >= 0 && tensor.sample_count() != count) {
      return fail("tensor '" + name + "' has " + std::to_string(tensor.sample_count()) +
                  " samples where others have " + std::to_string(count));
    }
    count = tensor.sample_count();
  }
  if (count < 1) return fail("there is no sample in it; at least one is needed");
  return count;
}

const StoredTensor* SampleSource::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

Status SampleSource::read_at(std::uint64_t offset, void* destination, std::uint64_t bytes) const {
  auto* next = static_cast<char*>(destination);
  while (bytes > 0) {
    const auto part = static_cast<std::size_t>(std::min(bytes, kReadLimitBytes));
    const ssize_t got = ::pread(descriptor_, next, part, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + path_);
    if (got == 0) return Error{ErrorCode::kFileSystem, path_ + " became shorter while in use"};
    next += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::uint64_t>(got);
  }
  return Done{};
}

Status SampleSource::read_sample(const StoredTensor& tensor, std::int64_t index,
                                 void* destination) const {
  return read_samples(tensor, index, 1, destination);
}

Status SampleSource::read_samples(const StoredTensor& tensor, std::int64_t first,
                                  std::int64_t count, void* destination) const {
  const std::int64_t there = tensor.sample_count();
  if (first < 0 || first >= there || count < 1 || count > there - first) {
    const std::int64_t missing = first < 0 ? first : std::max(first, there);
    return Error{ErrorCode::kModelOrData, path_ + " has no sample " + std::to_string(missing)};
  }
  const std::uint64_t bytes = tensor.sample_bytes();
  const std::uint64_t offset = static_cast<std::uint64_t>(first) * bytes;
  return read_at(tensor.offset_bytes + offset, destination,
                 static_cast<std::uint64_t>(count) * bytes);
}

Result<std::vector<unsigned char>> SampleSource::read(const StoredTensor& tensor) const {
  if (!fits_memory(tensor.bytes)) return too_large(tensor.dims, element_bytes(tensor.type));
  std::vector<unsigned char> data(static_cast<std::size_t>(tensor.bytes));
  Status status = read_at(tensor.offset_bytes, data.data(), tensor.bytes);
  if (!status) return status.error();
  return data;
}

Result<SafetensorsHead> safetensors_head(const std::vector<TensorToWrite>& tensors,
                                         const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  SafetensorsHead head;
  std::uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    if (header.contains(tensor.name)) {
      return Error{ErrorCode::kModelOrData, "two tensors are named '" + tensor.name + "'"};
    }
    const std::uint64_t bytes = tensor_bytes(tensor);
    header[tensor.name] = {{"dtype", safetensors_name(tensor.type)},
                           {"shape", tensor.dims},
                           {"data_offsets", {offset, offset + bytes}}};
    head.offsets.push_back(offset);
    offset += bytes;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  // Aligned data lets readers map it as it lies.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  for (unsigned shift = 0; shift < 64; shift += 8) {
    const std::uint64_t digit = static_cast<std::uint64_t>(text.size()) >> shift & 0xff;
    head.bytes.push_back(static_cast<char>(digit));
  }
  head.bytes += text;
  for (std::uint64_t& start : head.offsets) start += head.bytes.size();
  return head;
}

Status write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                         const std::map<std::string, std::string>& metadata) {
  const Result<SafetensorsHead> head = safetensors_head(tensors, metadata);
  if (!head) return head.error();
  std::vector<std::string_view> parts{head->bytes};
  for (const TensorToWrite& tensor : tensors) {
    parts.emplace_back(static_cast<const char*>(tensor.data),
                       static_cast<std::size_t>(tensor_bytes(tensor)));
  }
  return write_file_atomically(path, parts);
}

}  // namespace edgesmith
