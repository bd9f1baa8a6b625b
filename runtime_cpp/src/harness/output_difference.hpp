/// \file
/// How far the outputs of two inferences with the same input are apart.
#pragma once

#include <vector>

#include "edgesmith/tensor.hpp"

namespace edgesmith::harness {

/// The largest difference of two elements, as a share of the largest magnitude in `expected`;
/// infinity where only one of them is a finite number, or infinities and counts are others.
double output_difference(DataType type, const std::vector<unsigned char>& expected,
                         const std::vector<unsigned char>& found);

}  // namespace edgesmith::harness
