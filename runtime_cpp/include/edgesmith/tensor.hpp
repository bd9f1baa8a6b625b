/// \file
/// Tensors as plain descriptions of memory: element type, dimensions, bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// Element types that models take and give. Strings and sequences are not supported.
enum class DataType {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kBool
};

/// Bytes of one element.
std::size_t element_bytes(DataType type);

/// Name as NumPy spells it ("float32", "uint8", "bool", ...).
std::string_view data_type_name(DataType type);

/// Name in safetensors files ("F32", "U8", "BOOL", ...).
std::string_view safetensors_name(DataType type);

/// The type of a safetensors name, or nothing for a name that is not known.
std::optional<DataType> data_type_from_safetensors(std::string_view name);

/// Product of the dimensions; nothing for a negative dimension or a product beyond int64.
std::optional<std::int64_t> element_count(const std::vector<std::int64_t>& dims);

/// Dimensions as text, such as "[1, 3, 224, 224]".
std::string dims_text(const std::vector<std::int64_t>& dims);

/// Whether a dimension that the caller chooses is 1 or more. \return kModelOrData otherwise.
Status check_size(const std::string& name, std::int64_t size);

/// The error of a tensor that memory cannot hold.
Error too_large(const std::vector<std::int64_t>& dims, std::size_t element_bytes);

/// Zeroed memory for a tensor.
/// \return kModelOrData if a dimension is negative, or if there is not so much memory.
// A vector of bool has no elements in memory. NOLINTBEGIN(*-avoid-c-arrays)
template <typename T>
Result<std::unique_ptr<T[]>> allocate_elements(const std::vector<std::int64_t>& dims) {
  const std::optional<std::int64_t> count = element_count(dims);
  if (!count || *count > PTRDIFF_MAX / static_cast<std::ptrdiff_t>(sizeof(T))) {
    return too_large(dims, sizeof(T));
  }
  std::unique_ptr<T[]> elements(new (std::nothrow) T[static_cast<std::size_t>(*count)]());
  if (!elements) return too_large(dims, sizeof(T));
  return elements;
}
// NOLINTEND(*-avoid-c-arrays)

/// Converts elements to double. `bytes` is a multiple of the element's size.
std::vector<double> to_doubles(DataType type, const void* data, std::size_t bytes);

/// An input or output as the model declares it.
struct TensorInfo {
  std::string name;
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> dims;      ///< -1 where the dimension is dynamic.
  std::vector<std::string> dim_names;  ///< Same length as dims; empty where there is no name.
};

/// Element type of a C++ type, for typed callers.
template <typename T>
constexpr DataType data_type_of();
template <>
constexpr DataType data_type_of<float>() {
  return DataType::kFloat32;
}
template <>
constexpr DataType data_type_of<double>() {
  return DataType::kFloat64;
}
template <>
constexpr DataType data_type_of<std::int8_t>() {
  return DataType::kInt8;
}
template <>
constexpr DataType data_type_of<std::int16_t>() {
  return DataType::kInt16;
}
template <>
constexpr DataType data_type_of<std::int32_t>() {
  return DataType::kInt32;
}
template <>
constexpr DataType data_type_of<std::int64_t>() {
  return DataType::kInt64;
}
template <>
constexpr DataType data_type_of<std::uint8_t>() {
  return DataType::kUInt8;
}
template <>
constexpr DataType data_type_of<std::uint16_t>() {
  return DataType::kUInt16;
}
template <>
constexpr DataType data_type_of<std::uint32_t>() {
  return DataType::kUInt32;
}
template <>
constexpr DataType data_type_of<std::uint64_t>() {
  return DataType::kUInt64;
}
template <>
constexpr DataType data_type_of<bool>() {
  return DataType::kBool;
}

}  // namespace edgesmith
