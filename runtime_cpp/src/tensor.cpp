#include "edgesmith/tensor.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace edgesmith {
namespace {

struct TypeRow {
  DataType type;
  std::size_t bytes;
  std::string_view name;
  std::string_view safetensors;
};

constexpr std::array<TypeRow, 13> kTypes{{
    {DataType::kFloat32, 4, "float32", "F32"},
    {DataType::kFloat64, 8, "float64", "F64"},
    {DataType::kFloat16, 2, "float16", "F16"},
    {DataType::kBFloat16, 2, "bfloat16", "BF16"},
    {DataType::kInt8, 1, "int8", "I8"},
    {DataType::kInt16, 2, "int16", "I16"},
    {DataType::kInt32, 4, "int32", "I32"},
    {DataType::kInt64, 8, "int64", "I64"},
    {DataType::kUInt8, 1, "uint8", "U8"},
    {DataType::kUInt16, 2, "uint16", "U16"},
    {DataType::kUInt32, 4, "uint32", "U32"},
    {DataType::kUInt64, 8, "uint64", "U64"},
    {DataType::kBool, 1, "bool", "BOOL"},
}};

const TypeRow& row(DataType type) { return kTypes[static_cast<std::size_t>(type)]; }

template <typename T>
void convert(const void* data, std::vector<double>& out) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

double half_to_double(std::uint16_t bits) {
  const int exponent = static_cast<int>((unsigned{bits} >> 10U) & 0x1fU);
  const double fraction = bits & 0x3ff;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * std::ldexp(1024.0 + fraction, exponent - 25);
}

double bfloat_to_double(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof(value));
  return static_cast<double>(value);
}

void convert_short_floats(DataType type, const void* data, std::vector<double>& out) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes + i * sizeof(bits), sizeof(bits));
    out[i] = type == DataType::kFloat16 ? half_to_double(bits) : bfloat_to_double(bits);
  }
}

}  // namespace

std::size_t element_bytes(DataType type) { return row(type).bytes; }
std::string_view data_type_name(DataType type) { return row(type).name; }
std::string_view safetensors_name(DataType type) { return row(type).safetensors; }

std::optional<DataType> data_type_from_safetensors(std::string_view name) {
  for (const TypeRow& candidate : kTypes) {
    if (candidate.safetensors == name) return candidate.type;
  }
  return std::nullopt;
}

std::optional<std::int64_t> element_count(const std::vector<std::int64_t>& dims) {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    if (dim != 0 && count > std::numeric_limits<std::int64_t>::max() / dim) return std::nullopt;
    count *= dim;
  }
  return count;
}

std::string dims_text(const std::vector<std::int64_t>& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(dims[i]);
  }
  return text + "]";
}

Status check_size(const std::string& name, std::int64_t size) {
  if (size >= 1) return Done{};
  return Error{ErrorCode::kModelOrData,
               "size '" + name + "' is " + std::to_string(size) + "; a size is 1 or more"};
}

Error too_large(const std::vector<std::int64_t>& dims, std::size_t element_bytes) {
  const std::string wanted = "a tensor of " + dims_text(dims) + " elements of " +
                             std::to_string(element_bytes) +
                             (element_bytes == 1 ? " byte" : " bytes");
  if (std::any_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim < 0; })) {
    return {ErrorCode::kModelOrData, wanted + " is not possible: a size is below 0"};
  }
  return {ErrorCode::kModelOrData,
          wanted + " is more than the memory that can be had; open the model with smaller sizes"};
}

std::vector<double> to_doubles(DataType type, const void* data, std::size_t bytes) {
  std::vector<double> out(bytes / element_bytes(type));
  switch (type) {
    case DataType::kFloat32:
      convert<float>(data, out);
      break;
    case DataType::kFloat64:
      convert<double>(data, out);
      break;
    case DataType::kFloat16:
    case DataType::kBFloat16:
      convert_short_floats(type, data, out);
      break;
    case DataType::kInt8:
      convert<std::int8_t>(data, out);
      break;
    case DataType::kInt16:
      convert<std::int16_t>(data, out);
      break;
    case DataType::kInt32:
      convert<std::int32_t>(data, out);
      break;
    case DataType::kInt64:
      convert<std::int64_t>(data, out);
      break;
    case DataType::kUInt8:
    case DataType::kBool:
      convert<std::uint8_t>(data, out);
      break;
    case DataType::kUInt16:
      convert<std::uint16_t>(data, out);
      break;
    case DataType::kUInt32:
      convert<std::uint32_t>(data, out);
      break;
    case DataType::kUInt64:
      convert<std::uint64_t>(data, out);
      break;
  }
  return out;
}

}  // namespace edgesmith
