#include "model/operators/resize_coordinates.hpp"

#include <algorithm>
#include <cmath>

namespace bitplan {
namespace {

/// What the node's attributes say of one axis.
class Sampler {
 public:
  Sampler(const Node& node, const ResizeAxis& axis)
      : axis_(axis),
        coordinates_(node.text("coordinate_transformation_mode", "half_pixel")),
        mode_(node.text("mode", "nearest")),
        nearest_(node.text("nearest_mode", "round_prefer_floor")),
        a_(static_cast<double>(node.number("cubic_coeff_a", -0.75f))),
        exclude_outside_(node.integer("exclude_outside", 0) != 0),
        filter_scale_(node.integer("antialias", 0) != 0 ? std::min(axis.scale, 1.0) : 1.0) {}

  Mix at(std::int64_t o) const {
    const bool still = axis_.scale == 1 && axis_.in == axis_.out && !axis_.cropped;
    const double x = still ? static_cast<double>(o) : coordinate(static_cast<double>(o));
    Mix mix;
    if (axis_.cropped && !(x >= 0 && x <= static_cast<double>(axis_.in - 1)))
      mix.outside = true;
    else if (mode_ == "nearest")
      mix.taps.push_back({inside(nearest(x)), 1});
    else
      spread(x, mix);
    return mix;
  }

 private:
  double coordinate(double o) const {
    const auto in = static_cast<double>(axis_.in), length = in * axis_.scale;  // length: out before rounding
    if (coordinates_ == "asymmetric") return o / axis_.scale;
    if (coordinates_ == "align_corners") return axis_.out == 1 ? 0 : o * (in - 1) / static_cast<double>(axis_.out - 1);
    if (axis_.cropped) {
      const double width = (axis_.crop_end - axis_.crop_begin) * (in - 1), begin = axis_.crop_begin * (in - 1);
      return axis_.out == 1 ? begin + width / 2 : begin + o * width / (length - 1);
    }
    if (coordinates_ == "tf_half_pixel_for_nn") return (o + 0.5) / axis_.scale;
    if (coordinates_ == "pytorch_half_pixel" && axis_.out <= 1) return 0;
    const double centred = (o + 0.5) / axis_.scale - 0.5;
    if (coordinates_ != "half_pixel_symmetric") return centred;
    return in / 2 * (1 - static_cast<double>(axis_.out) / length) + centred;
  }

  /// Coordinates that are ties up to rounding are ties: float32 scales are inexact.
  std::int64_t nearest(double x) const {
    const auto v = static_cast<float>(x);
    const float rounded = nearest_ == "floor"               ? std::floor(v)
                          : nearest_ == "ceil"              ? std::ceil(v)
                          : nearest_ == "round_prefer_ceil" ? std::floor(v + 0.5f)
                                                            : std::ceil(v - 0.5f);
    return static_cast<std::int64_t>(std::clamp(rounded, -1.0f, 0x1p40f));
  }

  std::int64_t inside(std::int64_t i) const { return std::clamp<std::int64_t>(i, 0, axis_.in - 1); }

  /// The filter: a triangle of half width 1, or Keys' cubic of half width 2.
  double filter(double t) const {
    t = std::abs(t);
    if (mode_ == "linear") return std::max(0.0, 1 - t);
    if (t <= 1) return ((a_ + 2) * t - (a_ + 3)) * t * t + 1;
    return t < 2 ? ((t - 5) * t + 8) * t * a_ - 4 * a_ : 0;
  }

  void spread(double x, Mix& mix) const {
    const double half = (mode_ == "linear" ? 1 : 2) / filter_scale_;
    const double low = std::clamp(x - half, -0x1p40, 0x1p40), high = std::clamp(x + half, -0x1p40, 0x1p40);
    double sum = 0;
    for (auto i = static_cast<std::int64_t>(std::floor(low)) + 1; static_cast<double>(i) < high; ++i) {
      if (exclude_outside_ && i != inside(i)) continue;
      const double weight = filter((static_cast<double>(i) - x) * filter_scale_);
      if (weight == 0) continue;
      sum += weight;
      if (!mix.taps.empty() && mix.taps.back().index == inside(i))
        mix.taps.back().weight += weight;
      else
        mix.taps.push_back({inside(i), weight});
    }
    for (auto& tap : mix.taps) tap.weight /= sum;
  }

  const ResizeAxis& axis_;
  std::string coordinates_, mode_, nearest_;
  double a_;
  bool exclude_outside_;
  double filter_scale_;  ///< of the filter's argument: below 1 it is wider
};

}  // namespace

std::vector<Mix> resize_mixes(const Node& node, const ResizeAxis& axis) {
  const Sampler sampler(node, axis);
  std::vector<Mix> mixes;
  for (std::int64_t o = 0; o < axis.out; ++o) mixes.push_back(sampler.at(o));
  return mixes;
}

}  // namespace bitplan
