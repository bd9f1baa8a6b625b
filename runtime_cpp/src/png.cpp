#include "edgesmith/png.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <wuffs-unsupported-snapshot.c>

#include "shown.hpp"

namespace edgesmith {
namespace {

constexpr std::string_view kPngMagic{"\x89PNG\r\n\x1a\n", 8};
// Signature, then the chunk IHDR: length, name, width, height, bit depth and four more.
constexpr std::size_t kWidthAt = 16;
constexpr std::size_t kHeightAt = 20;
constexpr std::size_t kDepthAt = 24;
constexpr std::size_t kHeaderBytes = 33;
constexpr std::size_t kPixelBytes = 4;

std::int64_t big_endian(std::string_view bytes, std::size_t at) {
  std::int64_t value = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    value = value * 256 + static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

/// Wuffs marks its messages by a first character and a package name.
Error failed(const wuffs_base__status& status) {
  if (status.repr == wuffs_base__suspension__short_read ||
      status.repr == wuffs_png__error__truncated_input) {
    return bad_data("it is cut off");
  }
  return bad_data("it is damaged (" + shown(status.message()) + ")");
}

/// Checks that nothing is missing behind the image either.
Status read_to_the_end(wuffs_png__decoder& decoder, wuffs_base__io_buffer& source) {
  const wuffs_base__status status = decoder.decode_frame_config(nullptr, &source);
  if (status.repr == wuffs_base__note__end_of_data) return Done{};
  return status.is_ok() ? bad_data("it is an animation") : failed(status);
}

}  // namespace

Result<ImageSize> png_size(std::string_view bytes) {
  if (bytes.substr(0, kPngMagic.size()) != kPngMagic) {
    return bad_data(bytes.empty() ? "it is empty" : "it is no PNG file");
  }
  if (bytes.size() < kHeaderBytes) return bad_data("it is cut off");
  const ImageSize size{big_endian(bytes, kWidthAt), big_endian(bytes, kHeightAt)};
  if (size.width == 0 || size.height == 0) return bad_data("it has no pixels");
  if (size.width > kMaximumPixels / size.height) {
    return bad_data("it is " + std::to_string(size.width) + " x " + std::to_string(size.height) +
                    " pixels; at most " + std::to_string(kMaximumPixels) + " are read");
  }
  if (static_cast<unsigned char>(bytes[kDepthAt]) > 8) {
    return bad_data("it has more than 8 bits a channel; save it with 8");
  }
  return size;
}

Result<Image> decode_png(std::string_view bytes) {
  const Result<ImageSize> size = png_size(bytes);
  if (!size) return size.error();
  const wuffs_png__decoder::unique_ptr decoder = wuffs_png__decoder::alloc();
  if (!decoder) return bad_data("there is no memory to read it");
  // The reader's type has no const, though it only reads.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
  auto* data = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
  wuffs_base__io_buffer source = wuffs_base__ptr_u8__reader(data, bytes.size(), true);
  wuffs_base__image_config config{};
  wuffs_base__status status = decoder->decode_image_config(&config, &source);
  if (!status.is_ok()) return failed(status);

  const auto width = static_cast<std::uint32_t>(size->width);
  const auto height = static_cast<std::uint32_t>(size->height);
  Image image{*size, std::vector<unsigned char>(std::size_t{width} * height * kPixelBytes)};
  wuffs_base__pixel_config wanted{};
  wanted.set(WUFFS_BASE__PIXEL_FORMAT__RGBA_NONPREMUL, WUFFS_BASE__PIXEL_SUBSAMPLING__NONE, width,
             height);
  wuffs_base__pixel_buffer pixels{};
  status = pixels.set_from_slice(&wanted,
                                 wuffs_base__make_slice_u8(image.rgba.data(), image.rgba.size()));
  if (!status.is_ok()) return failed(status);
  std::vector<unsigned char> work(decoder->workbuf_len().max_incl);
  status = decoder->decode_frame(&pixels, &source, WUFFS_BASE__PIXEL_BLEND__SRC,
                                 wuffs_base__make_slice_u8(work.data(), work.size()), nullptr);
  if (!status.is_ok()) return failed(status);
  if (Status end = read_to_the_end(*decoder, source); !end) return end.error();
  return image;
}

Result<std::vector<unsigned char>> channels_of(const Image& image, std::int64_t channels) {
  std::vector<unsigned char> values;
  values.reserve(image.rgba.size() / kPixelBytes * static_cast<std::size_t>(channels));
  for (std::size_t i = 0; i < image.rgba.size(); i += kPixelBytes) {
    const unsigned char* pixel = &image.rgba[i];
    if (channels < 4 && pixel[3] != 255) {
      return bad_data("it has transparent pixels, and the input takes no alpha channel");
    }
    if (channels == 1 && (pixel[0] != pixel[1] || pixel[0] != pixel[2])) {
      return bad_data("it has colours, and the input takes grey; convert it first");
    }
    values.insert(values.end(), pixel, pixel + channels);
  }
  return values;
}

}  // namespace edgesmith
