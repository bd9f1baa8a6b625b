#include "check.hpp"
#include "edgesmith/png.hpp"
#include "programs.hpp"

namespace {

using namespace edgesmith;
using test::Checks;

std::string image_file(const std::string& name) {
  return test::read_text(std::string(EDGESMITH_TEST_DATA) + "/images/" + name + ".png");
}

/// Decodes a copy of exactly its size, so that sanitizers see every read beyond it.
Result<Image> decode(const std::string& bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  return decode_png({exact.data(), exact.size()});
}

/// Whether these are the colours that make_images.py paints.
bool is_painted(const std::vector<unsigned char>& rgb) {
  bool equal = rgb.size() == 36;
  for (std::size_t i = 0; equal && i < 12; ++i) {
    const std::size_t x = i % 4;
    const std::size_t y = i / 4;
    equal = rgb[3 * i] == 10 * x + y && rgb[3 * i + 1] == 20 * x && rgb[3 * i + 2] == 50 * y;
  }
  return equal;
}

void kinds_of_images(Checks& checks) {
  for (const char* name : {"rgb", "rgb_profile", "rgba_opaque", "palette"}) {
    const auto image = decode(image_file(name));
    CHECK(image && image->size.width == 4 && image->size.height == 3);
    if (!image) continue;
    const auto colours = channels_of(*image, 3);
    CHECK(colours && is_painted(*colours));
    CHECK(!channels_of(*image, 1));
    const auto with_alpha = channels_of(*image, 4);
    CHECK(with_alpha && with_alpha->size() == 48 && with_alpha->back() == 255);
  }
}

void nothing_is_lost_in_silence(Checks& checks) {
  const auto transparent = decode(image_file("rgba"));
  CHECK(transparent && !channels_of(*transparent, 3) && channels_of(*transparent, 4));
  CHECK(transparent && channels_of(*transparent, 4)->back() == 0x80);
  const auto grey = decode(image_file("grey"));
  CHECK(grey && channels_of(*grey, 1) && channels_of(*grey, 3));
  CHECK(grey && channels_of(*grey, 1)->back() == 32);
  const auto deep = decode(image_file("grey16"));
  CHECK(!deep && deep.error().message.find("8 bits") != std::string::npos);
}

void cut_anywhere(Checks& checks) {
  const std::string whole = image_file("palette");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto image = decode(whole.substr(0, length));
    CHECK(!image && image.error().code == ErrorCode::kModelOrData);
  }
}

void every_bit_flipped(Checks& checks) {
  for (const char* name : {"rgb", "palette", "rgb_profile"}) {
    const std::string whole = image_file(name);
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string changed = whole;
      changed[bit / 8] =
          static_cast<char>(static_cast<unsigned char>(changed[bit / 8]) ^ 1U << bit % 8);
      const auto image = decode(changed);
      // What no checksum guards, or is not read, may change; pixels may not.
      CHECK(!image || is_painted(*channels_of(*image, 3)));
    }
  }
}

void hostile_sizes(Checks& checks) {
  const auto sized = [](const std::string& width, const std::string& height) {
    return image_file("rgb").replace(16, 4, width).replace(20, 4, height);
  };
  const std::string zero(4, '\0');
  const std::string most(4, '\xff');
  const std::string four{'\0', '\0', '\0', '\4'};
  CHECK(!png_size(sized(zero, four)) && !png_size(sized(four, zero)));
  CHECK(!png_size(sized(most, most)) && !png_size(sized(most, four)));
  CHECK(!decode(sized(four, four)));
  CHECK(!png_size("") && !png_size("GIF89a") && !png_size(image_file("rgb").substr(0, 32)));
  CHECK(!decode(image_file("rgb").substr(0, 33)));
}

}  // namespace

int main() {
  return test::run_all({{"kinds_of_images", kinds_of_images},
                        {"nothing_is_lost_in_silence", nothing_is_lost_in_silence},
                        {"cut_anywhere", cut_anywhere},
                        {"every_bit_flipped", every_bit_flipped},
                        {"hostile_sizes", hostile_sizes}});
}
