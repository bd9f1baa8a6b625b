/// \file
/// What it takes to move inputs to a GPU and outputs back, apart from the inference: a pass of its
/// own after the timed part, which sees both from the host.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cudart.hpp"
#include "edgesmith/clock.hpp"
#include "edgesmith/session.hpp"
#include "model_io.hpp"

namespace edgesmith::harness {

/// Whether a session of this provider has inputs and outputs in the memory of an NVIDIA GPU.
bool has_gpu_memory(const std::string& provider);

struct CopySetup {
  MemoryPlace place{"Cuda", 0};
  std::vector<std::string> libraries = Cudart::libraries();
};

/// The setup for a session; nothing where its provider has no GPU.
std::optional<CopySetup> copy_setup(const Session& session,
                                    const std::vector<ProviderSettings>& providers);

struct FoundCopies {
  nlohmann::json figures;  ///< The report's copies of a run; null with a reason.
  std::string reason;
};

/// Times copies and the inference between them with inputs and outputs bound on the device. Leaves
/// what `session` has bound as it is, with the first sample's outputs in it.
/// \return kHarness if the device fails or the outputs are not those of the bound host memory.
Result<FoundCopies> measure_copies(Session& session, ModelIo& io, const Clock& clock,
                                   const CopySetup& setup);

}  // namespace edgesmith::harness
