#pragma once

#include <cstdint>
#include <span>

#include "quant/math/isa.hpp"

namespace bitplan {

/// 1.5 * 2^23: (t + kRounder) - kRounder is t rounded to the nearest integer, half to even, for |t| <= 2^22, and is
/// never -0. Vectorises without the rounding instruction of SSE4.1.
inline constexpr float kRounder = 12582912.0F;

/// Uniform affine quantizer of real values x to integers q:
///
///   q  = clamp(rint(x / s) + z, q_min, q_max)
///   x' = s (q - z)                                Jacob et al. 2018, arXiv:1712.05877, eq. 1
///
/// s > 0 scale with finite 1 / s, z zero point, q_min <= z <= q_max. rint rounds half to even, as IEEE 754 and PyTorch
/// do. x / s is computed as x * (1 / s) in float32, in the reference and in the fast path alike.
struct Affine {
  float scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t q_min = -128, q_max = 127;
  bool operator==(const Affine&) const = default;
};

/// The definition: one element at a time, in order.
void fake_quantize_ref(const Affine& q, std::span<const float> x, std::span<float> out);
/// Bit-identical to fake_quantize_ref, at memory bandwidth: vectorised, chosen at run time by CPU (generic, AVX2,
/// AVX-512). x and out may be the same. NaN stays NaN (the evaluator reports it).
void fake_quantize(const Affine& q, std::span<const float> x, std::span<float> out);
/// The same with the instructions of `isa`, which this CPU must have.
void fake_quantize_on(Isa isa, const Affine& q, std::span<const float> x, std::span<float> out);

/// The codes u = q - q_min of at most 256 levels, as bytes; false when x holds a NaN (its code is then arbitrary).
/// Same levels as fake_quantize, same speed.
bool quantize_codes(const Affine& q, std::span<const float> x, std::span<std::uint8_t> codes);
void quantize_codes_ref(const Affine& q, std::span<const float> x, std::span<std::uint8_t> codes);
bool quantize_codes_on(Isa isa, const Affine& q, std::span<const float> x, std::span<std::uint8_t> codes);

/// The quantizer of bits (1…16; 1 only affine) for real values in [low, high] (widened to contain 0):
/// affine:    s = (high - low) / (2^b - 1), z = rint(-low / s), q in 0 … 2^b-1
/// symmetric: s = max(|low|, |high|) / (2^(b-1) - 1), z = 0, q in -2^(b-1) … 2^(b-1)-1 (narrow: one less)
/// high - low and low / s are rounded to float32, as PyTorch does, so that ties of z go the same way. A zero range
/// gives s = 1. s is at least 2^-126, so that 1 / s is finite, and so small that values of the range stay finite.
Affine affine_from_range(float low, float high, int bits, bool symmetric, bool narrow);

/// The largest scale with which `level` steps (>= 1) are a finite float.
float largest_scale(std::int32_t level);

}  // namespace bitplan
