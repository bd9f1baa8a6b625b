/// \file
/// Which CPUs a measuring process may run on.
#pragma once

#include <string>
#include <vector>

#include "edgesmith/result.hpp"

namespace edgesmith::harness {

/// The CPUs of a list such as "0-3,6", in ascending order, each once. \return kUsage if it is none.
Result<std::vector<unsigned>> parse_cpus(const std::string& text);

/// Confines this process, and every thread that it starts from now on, to the listed CPUs.
/// \return kUsage if one of them is not there, or is not this process's to use.
Status confine_to(const std::string& cpus);

/// The CPUs that this process may run on, as the kernel says.
Result<std::vector<unsigned>> allowed_cpus();

}  // namespace edgesmith::harness
