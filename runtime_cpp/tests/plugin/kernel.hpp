/// \file
/// What the sample provider computes: one node at a time, in float32, in host memory.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "api.hpp"

namespace edgesmith::test::plugin {

enum class Operator { kAdd, kRelu };

std::optional<Operator> operator_from_name(const std::string& name);

/// The operator of a node that a kernel can compute: of ONNX's own domain, in float32; an Add has
/// dimensions that are known, and equal ones or a single number as its second input.
std::optional<Operator> computable_operator(const Ort::ConstNode& node);

/// Holds no state of its own between or during runs, so that any number of threads may be in it.
class Kernel : public OrtNodeComputeInfo {
 public:
  /// `inputs` says where among the inputs of the fused node those of the operator stand: an input
  /// that a node reads twice is passed once.
  Kernel(Operator op, std::vector<std::size_t> inputs, bool fails);

 private:
  void compute(const Ort::KernelContext& context) const;

  Operator operator_;
  std::vector<std::size_t> inputs_;
  bool fails_;
};

}  // namespace edgesmith::test::plugin
