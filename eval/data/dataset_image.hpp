#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// An RGB image of 8 bits a channel: pixel (y, x) has its bytes at 3 * (y * width + x).
struct Image {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> rgb;
};

/// Decodes a JPEG or PNG file (told apart by their first bytes); dataset.hpp says how. Throws InputError without the
/// file's name: what is wrong with the bytes (neither format, damaged, truncated, CMYK, more than 2^28 pixels).
Image decode_image(std::span<const std::byte> file);

/// Pillow's Image.resize((width, height), BILINEAR), bit for bit: with scale = in / out, half = max(1, scale), the
/// output pixel i at centre c = (i + 1/2) scale is
///
///   sum_x w_x in_x / sum_x w_x,   w_x = max(0, 1 - |x + 1/2 - c| / half),
///   floor(c - half + 1/2) <= x < floor(c + half + 1/2)
///
/// with weights of 22 bits after the point, rounded to 8 bits; along rows, then along columns. A side that keeps its
/// size is not touched. O(out pixels * 2 half) each way.
Image resize_bilinear(const Image& image, std::int64_t height, std::int64_t width);

/// The shorter side becomes `side`, the longer floor(side * longer / shorter).
Image resize_shorter_side(const Image& image, std::int64_t side);

/// The square of `side` pixels from row floor((h - side) / 2), column floor((w - side) / 2). The image must be that
/// large.
Image centre_crop(const Image& image, std::int64_t side);

}  // namespace bitplan
