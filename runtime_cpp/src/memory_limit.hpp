/// \file
/// A bound on what foreign files may make us allocate.
#pragma once

#include <cstdint>

namespace edgesmith {

/// Whether so many bytes can be in this machine's memory at all: an allocation of more would throw,
/// or be granted and end the process when it is used.
bool fits_memory(std::uint64_t bytes);

}  // namespace edgesmith
