#pragma once

#include <cstdint>
#include <filesystem>

#include "quant/moments/input_moments.hpp"

namespace bitplan {

/// Moments of the inputs of a weight, and the file that they are of.
struct FileMoments {
  LayerMoments moments;
  float largest = 0;  ///< magnitude
};

/// Of a .npy file [samples …, length]: each row along the last dimension is one input of the `length` elements that a
/// channel of the weight is summed over. O(samples length^2). Throws InputError naming the file on another last
/// dimension, on values that are not finite, and where E x^2 of an element is beyond float32.
FileMoments read_moments(const std::filesystem::path& file, std::int64_t length);

}  // namespace bitplan
