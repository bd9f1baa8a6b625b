#include "provider.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace edgesmith::test::plugin {
namespace {

/// Where among the inputs of the fused node those of the node itself stand.
std::vector<std::size_t> input_places(const Ort::ConstNode& node, const Ort::ConstNode& fused) {
  std::vector<std::string> names;
  for (const Ort::ConstValueInfo& input : fused.GetInputs()) names.push_back(input.GetName());
  std::vector<std::size_t> places;
  for (const Ort::ConstValueInfo& input : node.GetInputs()) {
    const auto found = std::find(names.begin(), names.end(), input.GetName());
    if (found == names.end()) {
      throw Ort::Exception("a fused node lacks the input " + input.GetName(), ORT_EP_FAIL);
    }
    places.push_back(static_cast<std::size_t>(found - names.begin()));
  }
  return places;
}

}  // namespace

Provider::Provider(Options options) : OrtEp{}, options_(std::move(options)) {
  ort_version_supported = kApiVersion;
  GetName = [](const OrtEp*) noexcept { return kProviderName; };
  GetCapability = [](OrtEp* self, const OrtGraph* graph, OrtEpGraphSupportInfo* claimed) noexcept {
    return guarded([&] { as<Provider>(self)->claim(Ort::ConstGraph(graph), claimed); });
  };
  Compile = [](OrtEp* self, const OrtGraph** graphs, const OrtNode** fused_nodes, std::size_t count,
               OrtNodeComputeInfo** kernels, OrtNode** /*context_nodes*/) noexcept {
    return guarded([&] { as<Provider>(self)->compile(graphs, fused_nodes, count, kernels); });
  };
  ReleaseNodeComputeInfos = [](OrtEp*, OrtNodeComputeInfo** kernels, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      const std::unique_ptr<Kernel> released(as<Kernel>(kernels[i]));
    }
  };
}

void Provider::claim(const Ort::ConstGraph& graph, OrtEpGraphSupportInfo* claimed) const {
  const std::vector<Operator>& operators = options_.operators;
  for (const Ort::ConstNode& node : graph.GetNodes()) {
    const std::optional<Operator> op = computable_operator(node);
    if (!op || std::find(operators.begin(), operators.end(), *op) == operators.end()) continue;
    const OrtNode* alone = node;
    // Each on its own, so that a profile has as many events as nodes were claimed.
    Ort::ThrowOnError(
        Ort::GetEpApi().EpGraphSupportInfo_AddNodesToFuse(claimed, &alone, 1, nullptr));
  }
}

void Provider::compile(const OrtGraph** graphs, const OrtNode** fused_nodes, std::size_t count,
                       OrtNodeComputeInfo** kernels) const {
  std::vector<std::unique_ptr<Kernel>> compiled;
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<Ort::ConstNode> nodes = Ort::ConstGraph(graphs[i]).GetNodes();
    const Ort::ConstNode& node = nodes.at(0);
    const std::optional<Operator> op = operator_from_name(node.GetOperatorType());
    if (nodes.size() != 1 || !op) {
      throw Ort::Exception("a fused node is not one that was claimed", ORT_EP_FAIL);
    }
    compiled.push_back(std::make_unique<Kernel>(
        *op, input_places(node, Ort::ConstNode(fused_nodes[i])), options_.fail == Failure::kRun));
  }
  for (std::size_t i = 0; i < count; ++i) kernels[i] = compiled[i].release();
}

}  // namespace edgesmith::test::plugin
