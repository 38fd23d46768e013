#pragma once

#include <cstdint>

#include "quant/math/affine.hpp"
#include "quant/math/isa.hpp"

namespace bitplan {

/// Channels lie in blocks of 16. A plane is one block of one image: [height, width, 16] floats.
inline constexpr std::int64_t kDepthwiseBlock = 16;

/// Sizes of a depthwise convolution of images: each channel has one filter of its own.
struct DepthwiseShape {
  std::int64_t height, width;          ///< of the input
  std::int64_t out_height, out_width;  ///< of the output
  std::int64_t kernel_h, kernel_w;
  std::int64_t stride_h, stride_w;  ///< stride_w: 1 or 2
  std::int64_t pad_top, pad_left;

  // A plane is computed in strips of output rows. What a strip reads lies in a buffer in the L1 cache: row r of the
  // padded image (r = pad_top is the first of the image) at r mod buffer_rows, pixels padded likewise.
  std::int64_t strip = 1;        ///< output rows
  std::int64_t buffer_rows = 1;  ///< a power of two
  std::int64_t buffer_width() const;
  std::int64_t buffer_size() const { return buffer_rows * buffer_width() * kDepthwiseBlock; }
};

/// Chooses strip and buffer_rows.
void plan_strips(DepthwiseShape& shape);

/// What follows a depthwise convolution in its kernel. Both give 0 for 0.
enum class DepthwiseFunction : std::uint8_t {
  clamp,
  swish  ///< x / (1 + e^-x)
};

struct DepthwisePlane {
  const float* input;      ///< [height, width, 16]
  const Affine* quantize;  ///< of the input, as fake_quantize; null: not
  const float* weights;    ///< [kernel_h, kernel_w, 16]
  const float* bias;       ///< [16]
  DepthwiseFunction function;
  float low, high;           ///< bounds of `clamp`; NaN passes
  const Affine* requantize;  ///< of the output; null: not
  float* output;             ///< [out_height, out_width, 16]
};

/// Y = requantize(f(b + sum over i, j of W[i, j] P[y s_h + i, x s_w + j])) in the order of i, then j,
/// where P is quantize(X) in a frame of zeros. `buffer`: buffer_size() floats, all 0 before the first plane, for planes
/// of one shape. AVX-512 rounds each product and sum once, the others twice.
/// O(out_height * out_width * kernel_h * kernel_w).
void depthwise_plane(Isa isa, const DepthwiseShape& shape, const DepthwisePlane& plane, float* buffer);

/// Whether depthwise_plane is faster than oneDNN's kernel on `isa`. AVX2 is not: it has no fused multiply-add here, and
/// half as many registers.
inline bool depthwise_pays(Isa isa) { return isa == Isa::avx512; }

}  // namespace bitplan
