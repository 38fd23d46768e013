#pragma once

#include <cstdint>
#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// One axis of a Resize: out is about in * scale. cropped: tf_crop_and_resize reads crop_begin … crop_end of the axis.
struct ResizeAxis {
  std::int64_t in, out;
  double scale = 1, crop_begin = 0, crop_end = 1;
  bool cropped = false;
};

/// One output position: the sum of weight * input[index]; `outside` (tf_crop_and_resize): the extrapolation value.
struct Mix {
  struct Tap {
    std::int64_t index;
    double weight;
  };
  std::vector<Tap> taps;
  bool outside = false;
};

/// The mixes of all outputs along one axis. Output o reads around the input coordinate
///
///   half_pixel            (o + 0.5) / scale - 0.5            pytorch_half_pixel: 0 when only one output
///   half_pixel_symmetric  the same, centred when in * scale is no integer
///   asymmetric            o / scale
///   align_corners         o (in - 1) / (out - 1)
///   tf_half_pixel_for_nn  (o + 0.5) / scale                  (before opset 13)
///   tf_crop_and_resize    begin (in - 1) + o (end - begin) (in - 1) / (out - 1)
///
/// nearest takes one input (nearest_mode), linear two, cubic four (Keys, cubic_coeff_a); inputs outside repeat the edge
/// or, with exclude_outside, weigh nothing. antialias (opset 18) widens linear and cubic by 1 / scale when shrinking.
std::vector<Mix> resize_mixes(const Node& node, const ResizeAxis& axis);

}  // namespace bitplan
