#include "edgesmith/input_file.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "edgesmith/npy.hpp"
#include "file.hpp"
#include "image_tensor.hpp"
#include "known_sizes.hpp"
#include "shown.hpp"

namespace edgesmith {
namespace {

constexpr std::uint64_t kFileLimitBytes = std::uint64_t{1} << 30;

enum class FileKind { kNpy, kRaw, kPng };

/// Values of bool other than 0 and 1 have no meaning in C++.
Status check_values(const Tensor& tensor) {
  if (tensor.type != DataType::kBool) return Done{};
  const bool sound = std::all_of(tensor.data.begin(), tensor.data.end(),
                                 [](unsigned char value) { return value <= 1; });
  return sound ? Status(Done{}) : bad_data("it holds bytes other than 0 and 1, which bool has not");
}

Result<Tensor> from_npy(const TensorInfo& info, const std::string& bytes) {
  const Result<NpyArray> array = parse_npy(bytes);
  if (!array) return array.error();
  if (array->type != info.type) {
    const std::string wanted(data_type_name(info.type));
    return bad_data("it holds " + std::string(data_type_name(array->type)) +
                    (info.type == DataType::kBFloat16
                         ? ", and the input takes bfloat16, which .npy does not know; use .raw"
                         : "; save it with .astype('" + wanted + "')"));
  }
  if (!fits(info, array->dims)) {
    return bad_data("its shape is " + dims_text(array->dims) + ", the input's " +
                    declared_text(info));
  }
  return Tensor{array->type, array->dims, {array->data.begin(), array->data.end()}};
}

/// The one size that is not known follows from the number of bytes.
Result<Tensor> from_raw(const TensorInfo& info, const KnownSizes& known, const std::string& bytes) {
  if (bytes.empty()) return bad_data("it is empty");
  std::vector<std::int64_t> dims = known.apply(info);
  const auto is_open = [](std::int64_t dim) { return dim < 0; };
  const auto open = std::count_if(dims.begin(), dims.end(), is_open);
  if (open > 1) {
    return bad_data("the sizes of " + declared_text(info) +
                    " can't be told from a .raw file; use .npy");
  }
  const auto unknown = std::find_if(dims.begin(), dims.end(), is_open);
  if (open == 1) *unknown = 1;
  const std::optional<std::int64_t> count = element_count(dims);
  const auto width = static_cast<std::int64_t>(element_bytes(info.type));
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (!count || *count == 0 || *count > size / width || size % (*count * width) != 0 ||
      (open == 0 && size != *count * width)) {
    return bad_data("it is " + std::to_string(size) + " bytes, which is not " +
                    (open == 1 ? declared_text(info) : dims_text(dims)) + " of " +
                    std::string(data_type_name(info.type)));
  }
  if (open == 1) *unknown = size / (*count * width);
  return Tensor{info.type, std::move(dims), {bytes.begin(), bytes.end()}};
}

Result<FileKind> kind_of(const std::string& path) {
  const std::size_t dot = path.find_last_of("./");
  const std::string suffix = dot == std::string::npos ? "" : path.substr(dot);
  if (suffix == ".npy") return FileKind::kNpy;
  if (suffix == ".raw") return FileKind::kRaw;
  if (suffix == ".png") return FileKind::kPng;
  return Error{ErrorCode::kUsage, path + ": inputs are read from .npy, .raw and .png files"};
}

/// Regular files only: a device or a pipe would be read for ever.
Result<std::string> read_regular_file(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return system_error("cannot read " + path);
  if (!S_ISREG(info.st_mode)) {
    return Error{ErrorCode::kFileSystem, "cannot read " + path + ": it is not a regular file"};
  }
  return read_file(path, kFileLimitBytes);
}

Result<Tensor> parse(const TensorInfo& info, const std::string& bytes, FileKind kind,
                     const KnownSizes& known) {
  switch (kind) {
    case FileKind::kNpy:
      return from_npy(info, bytes);
    case FileKind::kPng:
      return image_tensor(info, bytes);
    case FileKind::kRaw:
      break;
  }
  return from_raw(info, known, bytes);
}

Result<Tensor> read_one(const TensorInfo& info, const std::string& path, FileKind kind,
                        KnownSizes& known) {
  const Result<std::string> bytes = read_regular_file(path);
  if (!bytes) return bytes.error();
  Result<Tensor> tensor = parse(info, *bytes, kind, known);
  Status status = tensor ? check_values(*tensor) : Status(tensor.error());
  if (status) status = known.settle(info, tensor->dims);
  if (status) return tensor;
  return Error{status.error().code,
               path + " for input " + in_quotes(info.name) + ": " + status.error().message};
}

/// The file of each declared input, in that order.
Result<std::vector<std::string>> paths_of(const std::vector<TensorInfo>& declared,
                                          const std::vector<InputFile>& files) {
  std::vector<std::string> paths;
  for (const TensorInfo& info : declared) {
    const auto is_for = [&](const InputFile& file) { return file.name == info.name; };
    const auto count = std::count_if(files.begin(), files.end(), is_for);
    if (count != 1) {
      return Error{ErrorCode::kUsage, "input " + in_quotes(info.name) + " (" +
                                          std::string(data_type_name(info.type)) + ' ' +
                                          declared_text(info) + ") has " +
                                          (count == 0 ? "no file" : "several files")};
    }
    paths.push_back(std::find_if(files.begin(), files.end(), is_for)->path);
  }
  return paths;
}

}  // namespace

Result<std::vector<Tensor>> read_inputs(const std::vector<TensorInfo>& declared,
                                        const std::vector<InputFile>& files) {
  const Result<std::vector<std::string>> paths = paths_of(declared, files);
  if (!paths) return paths.error();
  std::vector<FileKind> kinds;
  for (const std::string& path : *paths) {
    const Result<FileKind> kind = kind_of(path);
    if (!kind) return kind.error();
    kinds.push_back(*kind);
  }
  KnownSizes known;
  std::vector<Tensor> tensors(declared.size());
  // Raw files last, for they say least about sizes.
  for (const bool raw : {false, true}) {
    for (std::size_t i = 0; i < declared.size(); ++i) {
      if ((kinds[i] == FileKind::kRaw) != raw) continue;
      Result<Tensor> tensor = read_one(declared[i], (*paths)[i], kinds[i], known);
      if (!tensor) return tensor.error();
      tensors[i] = std::move(*tensor);
    }
  }
  return tensors;
}

Status copy_to(const Tensor& tensor, void* destination, std::size_t bytes) {
  if (tensor.data.size() != bytes) {
    return bad_data("a tensor of " + dims_text(tensor.dims) + " does not fill the input");
  }
  if (bytes > 0) std::memcpy(destination, tensor.data.data(), bytes);
  return Done{};
}

}  // namespace edgesmith
