/// \file
/// The sample provider, one for a session.
#pragma once

#include <cstddef>

#include "api.hpp"
#include "options.hpp"

namespace edgesmith::test::plugin {

class Provider : public OrtEp {
 public:
  explicit Provider(Options options);

 private:
  void claim(const Ort::ConstGraph& graph, OrtEpGraphSupportInfo* claimed) const;
  void compile(const OrtGraph** graphs, const OrtNode** fused_nodes, std::size_t count,
               OrtNodeComputeInfo** kernels) const;

  Options options_;
};

}  // namespace edgesmith::test::plugin
