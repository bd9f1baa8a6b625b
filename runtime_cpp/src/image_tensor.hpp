/// \file
/// Images as inputs of a model.
#pragma once

#include <string_view>

#include "edgesmith/input_file.hpp"

namespace edgesmith {

/// A PNG file's pixels in the layout that the input has, channels first or last.
/// \param bytes The whole file.
/// \return kModelOrData if the input takes no such image.
Result<Tensor> image_tensor(const TensorInfo& info, std::string_view bytes);

}  // namespace edgesmith
