#include "model_tensors.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace edgesmith {
namespace {

struct TypePair {
  DataType ours;
  ONNXTensorElementDataType theirs;
};

constexpr std::array<TypePair, 13> kTypePairs{{
    {DataType::kFloat32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {DataType::kFloat64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
    {DataType::kFloat16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {DataType::kBFloat16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16},
    {DataType::kInt8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {DataType::kInt16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},
    {DataType::kInt32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {DataType::kInt64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {DataType::kUInt8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {DataType::kUInt16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
    {DataType::kUInt32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
    {DataType::kUInt64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64},
    {DataType::kBool, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
}};

bool dims_fit(const TensorInfo& info, const std::vector<std::int64_t>& dims) {
  if (info.dims.size() != dims.size()) return false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (info.dims[i] >= 0 && info.dims[i] != dims[i]) return false;
  }
  return true;
}

}  // namespace

Error model_error(const std::string& message) { return {ErrorCode::kModelOrData, message}; }

ONNXTensorElementDataType to_runtime(DataType type) {
  return kTypePairs[static_cast<std::size_t>(type)].theirs;
}

std::optional<DataType> from_runtime(ONNXTensorElementDataType type) {
  for (const TypePair& pair : kTypePairs) {
    if (pair.theirs == type) return pair.ours;
  }
  return std::nullopt;
}

Result<TensorInfo> describe_tensor(std::string name, const Ort::TypeInfo& type) {
  if (type.GetONNXType() != ONNX_TYPE_TENSOR) {
    return model_error("'" + name + "' is not a tensor; only tensors are supported");
  }
  const auto tensor = type.GetTensorTypeAndShapeInfo();
  const std::optional<DataType> data_type = from_runtime(tensor.GetElementType());
  if (!data_type) {
    return model_error("'" + name + "' has an element type that is not supported (ONNX type " +
                       std::to_string(static_cast<int>(tensor.GetElementType())) + ")");
  }
  TensorInfo info{std::move(name), *data_type, tensor.GetShape(), {}};
  for (const char* symbol : tensor.GetSymbolicDimensions()) info.dim_names.emplace_back(symbol);
  return info;
}

const TensorInfo* find_tensor(const std::vector<TensorInfo>& infos, const std::string& name) {
  const auto found = std::find_if(infos.begin(), infos.end(),
                                  [&](const TensorInfo& info) { return info.name == name; });
  return found == infos.end() ? nullptr : &*found;
}

Status check_binding(const TensorInfo* info, const std::string& name, DataType type,
                     std::size_t bytes, const std::vector<std::int64_t>& dims) {
  if (info == nullptr) return model_error("the model has no input or output named '" + name + "'");
  if (info->type != type) {
    return model_error("'" + name + "' is " + std::string(data_type_name(info->type)) + ", not " +
                       std::string(data_type_name(type)));
  }
  if (!dims_fit(*info, dims)) {
    return model_error("'" + name + "' is declared as " + dims_text(info->dims) + " (-1: any), " +
                       dims_text(dims) + " does not fit");
  }
  const std::optional<std::int64_t> count = element_count(dims);
  if (!count || static_cast<std::size_t>(*count) != bytes / element_bytes(type) ||
      bytes % element_bytes(type) != 0) {
    return model_error("'" + name + "' with dimensions " + dims_text(dims) + " does not fill " +
                       std::to_string(bytes) + " bytes");
  }
  return Done{};
}

}  // namespace edgesmith
