#include "image_tensor.hpp"

#include "edgesmith/png.hpp"
#include "known_sizes.hpp"
#include "shown.hpp"

namespace edgesmith {
namespace {

/// Where an image's axes stand among the dimensions.
struct ImageAxes {
  std::size_t channels;
  std::size_t height;
  std::size_t width;
};

/// The layouts in which an image of this size is the input: channels first, or last.
std::vector<ImageAxes> possible_axes(const TensorInfo& info, const ImageSize& size) {
  const std::size_t rank = info.dims.size();
  if (rank != 3 && rank != 4) return {};
  const std::size_t first = rank - 3;
  if (first == 1 && info.dims[0] >= 0 && info.dims[0] != 1) return {};
  std::vector<ImageAxes> found;
  for (const ImageAxes& axes :
       {ImageAxes{first, first + 1, first + 2}, ImageAxes{first + 2, first, first + 1}}) {
    const std::int64_t channels = info.dims[axes.channels];
    const auto takes = [&](std::size_t axis, std::int64_t wanted) {
      return info.dims[axis] < 0 || info.dims[axis] == wanted;
    };
    if ((channels == 1 || channels == 3 || channels == 4) && takes(axes.height, size.height) &&
        takes(axes.width, size.width)) {
      found.push_back(axes);
    }
  }
  return found;
}

/// From pixel after pixel to plane after plane.
std::vector<unsigned char> planes_of(const std::vector<unsigned char>& values,
                                     std::size_t channels) {
  std::vector<unsigned char> planes(values.size());
  const std::size_t pixels = values.size() / channels;
  for (std::size_t i = 0; i < values.size(); ++i) {
    planes[i % channels * pixels + i / channels] = values[i];
  }
  return planes;
}

}  // namespace

Result<Tensor> image_tensor(const TensorInfo& info, std::string_view bytes) {
  if (info.type != DataType::kUInt8) {
    return bad_data("pixels are uint8, and the input takes " +
                    std::string(data_type_name(info.type)) +
                    "; let the model take uint8 by [preprocess], or prepare the values as .npy");
  }
  const Result<ImageSize> size = png_size(bytes);
  if (!size) return size.error();
  const std::vector<ImageAxes> layouts = possible_axes(info, *size);
  if (layouts.size() != 1) {
    return bad_data("its " + std::to_string(size->width) + " x " + std::to_string(size->height) +
                    " pixels (width x height) " +
                    (layouts.empty() ? "are no image for the input's "
                                     : "fit with channels first and last in the input's ") +
                    declared_text(info) + (layouts.empty() ? "; resize it first" : "; use .npy"));
  }
  const ImageAxes& axes = layouts.front();
  const Result<Image> image = decode_png(bytes);
  if (!image) return image.error();
  const std::int64_t channels = info.dims[axes.channels];
  Result<std::vector<unsigned char>> values = channels_of(*image, channels);
  if (!values) return values.error();
  Tensor tensor{info.type, std::vector<std::int64_t>(info.dims.size(), 1), std::move(*values)};
  tensor.dims[axes.channels] = channels;
  tensor.dims[axes.height] = size->height;
  tensor.dims[axes.width] = size->width;
  if (axes.channels < axes.width) {
    tensor.data = planes_of(tensor.data, static_cast<std::size_t>(channels));
  }
  return tensor;
}

}  // namespace edgesmith
