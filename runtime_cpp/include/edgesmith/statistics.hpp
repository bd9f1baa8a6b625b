/// \file
/// Statistics of latencies and of accuracy: pure functions, the same result on every machine.
#pragma once

// IWYU pragma: begin_exports
#include "edgesmith/bootstrap.hpp"
#include "edgesmith/interval.hpp"
#include "edgesmith/latency.hpp"
#include "edgesmith/proportion.hpp"
#include "edgesmith/warmup.hpp"
// IWYU pragma: end_exports
