/// \file
/// Inputs and outputs of a model as ONNX Runtime describes them, and what may be bound to them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/tensor.hpp"
#include "ort.hpp"

namespace edgesmith {

Error model_error(const std::string& message);

ONNXTensorElementDataType to_runtime(DataType type);
std::optional<DataType> from_runtime(ONNXTensorElementDataType type);

/// \return kModelOrData for what is no tensor or has an element type that is not supported.
Result<TensorInfo> describe_tensor(std::string name, const Ort::TypeInfo& type);

/// The tensor of this name, or null.
const TensorInfo* find_tensor(const std::vector<TensorInfo>& infos, const std::string& name);

/// Whether memory may be bound. \param info Null for an unknown name.
/// \return kModelOrData if name, type, dimensions or size do not fit the model.
Status check_binding(const TensorInfo* info, const std::string& name, DataType type,
                     std::size_t bytes, const std::vector<std::int64_t>& dims);

}  // namespace edgesmith
