#include "kernel.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "options.hpp"

namespace edgesmith::test::plugin {
namespace {

using Dims = std::vector<std::int64_t>;

/// The dimensions of a float32 tensor, -1 where one is not known or all are not.
std::optional<Dims> float_dims(const Ort::ConstValueInfo& value) {
  const Ort::ConstTypeInfo type = value.TypeInfo();
  if (type.GetONNXType() != ONNX_TYPE_TENSOR) return std::nullopt;
  const auto tensor = type.GetTensorTypeAndShapeInfo();
  if (tensor.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) return std::nullopt;
  return tensor.HasShape() ? tensor.GetShape() : Dims{-1};
}

bool all_are(const Dims& dims, std::int64_t count) {
  return std::all_of(dims.begin(), dims.end(), [&](std::int64_t dim) { return dim == count; });
}

bool can_add(const Dims& first, const Dims& second) {
  // With more dimensions than the first input, a single number would give the output more, too.
  return first == second || (second.size() <= first.size() && all_are(second, 1));
}

bool known(const Dims& dims) {
  return std::none_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim < 0; });
}

void add(const Ort::ConstValue& first, const Ort::ConstValue& second, Ort::UnownedValue output) {
  const auto shape = first.GetTensorTypeAndShapeInfo();
  const Dims second_dims = second.GetTensorTypeAndShapeInfo().GetShape();
  const auto* a = first.GetTensorData<float>();
  const auto* b = second.GetTensorData<float>();
  auto* sum = output.GetTensorMutableData<float>();
  const std::size_t stride = shape.GetShape() == second_dims ? 1 : 0;
  const std::size_t count = shape.GetElementCount();
  for (std::size_t i = 0; i < count; ++i) sum[i] = a[i] + b[i * stride];
}

void relu(const Ort::ConstValue& input, Ort::UnownedValue output) {
  const auto* x = input.GetTensorData<float>();
  auto* y = output.GetTensorMutableData<float>();
  const std::size_t count = input.GetTensorTypeAndShapeInfo().GetElementCount();
  for (std::size_t i = 0; i < count; ++i) y[i] = std::max(x[i], 0.0F);
}

}  // namespace

std::optional<Operator> operator_from_name(const std::string& name) {
  if (name == "Add") return Operator::kAdd;
  if (name == "Relu") return Operator::kRelu;
  return std::nullopt;
}

std::optional<Operator> computable_operator(const Ort::ConstNode& node) {
  if (!node.GetDomain().empty()) return std::nullopt;
  const std::optional<Operator> op = operator_from_name(node.GetOperatorType());
  if (!op) return std::nullopt;
  std::vector<Dims> dims;
  for (const Ort::ConstValueInfo& input : node.GetInputs()) {
    std::optional<Dims> of_input = float_dims(input);
    if (!of_input) return std::nullopt;
    dims.push_back(std::move(*of_input));
  }
  if (op == Operator::kRelu) return op;
  const bool fits = known(dims.at(0)) && known(dims.at(1)) && can_add(dims.at(0), dims.at(1));
  return fits ? op : std::nullopt;
}

Kernel::Kernel(Operator op, std::vector<std::size_t> inputs, bool fails)
    : OrtNodeComputeInfo{}, operator_(op), inputs_(std::move(inputs)), fails_(fails) {
  ort_version_supported = kApiVersion;
  CreateState = [](OrtNodeComputeInfo*, OrtNodeComputeContext*, void** state) -> OrtStatus* {
    *state = nullptr;
    return nullptr;
  };
  Compute = [](OrtNodeComputeInfo* self, void* /*state*/, OrtKernelContext* context) {
    return guarded([&] { as<Kernel>(self)->compute(Ort::KernelContext(context)); });
  };
  ReleaseState = [](OrtNodeComputeInfo*, void* /*state*/) {};
}

void Kernel::compute(const Ort::KernelContext& context) const {
  if (fails_) {
    throw Ort::Exception(std::string(kProviderName) + " fails each run, as its option fail says",
                         ORT_EP_FAIL);
  }
  const Ort::ConstValue first = context.GetInput(inputs_.at(0));
  const Dims dims = first.GetTensorTypeAndShapeInfo().GetShape();
  if (operator_ == Operator::kRelu) {
    relu(first, context.GetOutput(0, dims));
    return;
  }
  const Ort::ConstValue second = context.GetInput(inputs_.at(1));
  // A model may declare other dimensions than those that its values have.
  if (!can_add(dims, second.GetTensorTypeAndShapeInfo().GetShape())) {
    throw Ort::Exception(std::string(kProviderName) + " cannot add tensors of these dimensions",
                         ORT_INVALID_ARGUMENT);
  }
  add(first, second, context.GetOutput(0, dims));
}

}  // namespace edgesmith::test::plugin
