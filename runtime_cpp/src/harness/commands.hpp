/// \file
/// The harness's commands. Each returns the exit code of the program.
#pragma once

#include "options.hpp"

namespace edgesmith::harness {

int bench_command(const Options& options);
int verify_command(const Options& options);
int info_command(const Options& options);

}  // namespace edgesmith::harness
