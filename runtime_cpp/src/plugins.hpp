/// \file
/// Execution providers in libraries of their own, which ONNX Runtime loads while a program runs.
#pragma once

#include "provider_setup.hpp"

namespace edgesmith {

/// Loads a plugin's library, once in a process, and gives the session its device.
/// \return kHarness with the reason if the library cannot be used; a library that offers no fitting
///         device here is left out, with the reason in `choice`.
Status append_plugin(Ort::Env& env, Ort::SessionOptions& options, const ProviderSettings& plugin,
                     ProviderChoice& choice);

}  // namespace edgesmith
