/// \file
/// PNG images as pixels. Decoding is Wuffs's, which is memory-safe by construction; sizes are
/// checked before anything is allocated.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "edgesmith/result.hpp"

namespace edgesmith {

struct ImageSize {
  std::int64_t width = 0;
  std::int64_t height = 0;
};

/// Pixels row by row: red, green, blue, alpha (not multiplied into the colours).
struct Image {
  ImageSize size;
  std::vector<unsigned char> rgba;
};

/// An image of more pixels is refused: 64 MiB are enough for an input of a small device.
inline constexpr std::int64_t kMaximumPixels = 16'777'216;

/// What the file's first bytes say.
/// \return kModelOrData if it is no PNG, has more than 8 bits a channel (which a uint8 tensor can't
///         hold) or more than kMaximumPixels.
Result<ImageSize> png_size(std::string_view bytes);

/// The whole image as it is stored: colour profiles and gamma are not applied.
/// \return kModelOrData as png_size, and if the file is cut off or a checksum is wrong.
Result<Image> decode_png(std::string_view bytes);

/// The image as `channels` values a pixel: 1 (grey), 3 (red, green, blue) or 4 (with alpha).
/// \return kModelOrData where that would lose something: colours as grey, transparency as colours.
Result<std::vector<unsigned char>> channels_of(const Image& image, std::int64_t channels);

}  // namespace edgesmith
