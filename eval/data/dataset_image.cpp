#include "eval/data/dataset_image.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace bitplan {
namespace {

constexpr int kPrecision = 22;  ///< bits after the point: 8 bits of pixel and a sum of weights of 1 fit 32 bits

/// For each output pixel the inputs it is made of.
struct Filter {
  std::vector<std::int64_t> first;  ///< by output pixel
  std::vector<std::vector<std::int32_t>> weights;
};

Filter triangle_filter(std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), half = std::max(1.0, scale);
  Filter filter;
  std::vector<double> real;
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - half + 0.5));
    const auto last = std::min(in, static_cast<std::int64_t>(centre + half + 0.5));
    real.clear();
    double sum = 0;
    for (auto x = first; x < last; ++x) {
      real.push_back(std::max(0.0, 1 - std::abs((static_cast<double>(x) - centre + 0.5) * (1 / half))));
      sum += real.back();
    }
    auto& weights = filter.weights.emplace_back();
    for (const double w : real) weights.push_back(static_cast<std::int32_t>(0.5 + w / sum * (1 << kPrecision)));
    filter.first.push_back(first);
  }
  return filter;
}

/// sum of weights * bytes that stand `stride` apart, rounded to 8 bits.
std::uint8_t weighted(const std::vector<std::int32_t>& weights, const std::uint8_t* in, std::int64_t stride) {
  std::int32_t sum = 1 << (kPrecision - 1);
  for (std::size_t k = 0; k < weights.size(); ++k) sum += weights[k] * in[static_cast<std::int64_t>(k) * stride];
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

Image resize_width(const Image& in, std::int64_t width) {
  const auto filter = triangle_filter(in.width, width);
  Image out{in.height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(3 * in.height * width))};
  auto* to = out.rgb.data();
  for (std::int64_t y = 0; y < in.height; ++y)
    for (std::size_t x = 0; x < filter.first.size(); ++x)
      for (std::int64_t c = 0; c < 3; ++c)
        *to++ = weighted(filter.weights[x], in.rgb.data() + 3 * (y * in.width + filter.first[x]) + c, 3);
  return out;
}

Image resize_height(const Image& in, std::int64_t height) {
  const auto filter = triangle_filter(in.height, height);
  Image out{height, in.width, std::vector<std::uint8_t>(static_cast<std::size_t>(3 * height * in.width))};
  auto* to = out.rgb.data();
  const auto stride = 3 * in.width;
  for (std::size_t y = 0; y < filter.first.size(); ++y)
    for (std::int64_t i = 0; i < stride; ++i)
      *to++ = weighted(filter.weights[y], in.rgb.data() + filter.first[y] * stride + i, stride);
  return out;
}

}  // namespace

Image resize_bilinear(const Image& image, std::int64_t height, std::int64_t width) {
  assert(height > 0 && width > 0 && image.height > 0 && image.width > 0);
  const auto wide = width == image.width ? image : resize_width(image, width);
  return height == wide.height ? wide : resize_height(wide, height);
}

Image resize_shorter_side(const Image& image, std::int64_t side) {
  const auto scaled = [&](std::int64_t longer, std::int64_t shorter) { return side * longer / shorter; };
  if (image.height <= image.width) return resize_bilinear(image, side, scaled(image.width, image.height));
  return resize_bilinear(image, scaled(image.height, image.width), side);
}

Image centre_crop(const Image& image, std::int64_t side) {
  assert(side <= image.height && side <= image.width);
  const auto top = (image.height - side) / 2, left = (image.width - side) / 2;
  Image out{side, side, {}};
  out.rgb.reserve(static_cast<std::size_t>(3 * side * side));
  for (std::int64_t y = 0; y < side; ++y) {
    const auto* row = image.rgb.data() + 3 * ((top + y) * image.width + left);
    out.rgb.insert(out.rgb.end(), row, row + 3 * side);
  }
  return out;
}

}  // namespace bitplan
