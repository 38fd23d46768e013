#pragma once

#include <bit>
#include <cstdint>

#include "quant/affine.hpp"
#include "quant/isa.hpp"

namespace bitplan {

// Elementary functions without branches, tables or library calls, so that loops over floats vectorise; relative error
// below 4e-7 (pow: 2e-6 for |y log2 x| < 20). Equal bits on every instruction set.

/// 2^x, x clamped to [-125, 125]: Taylor series of degree 7 on [-1/2, 1/2], whose remainder is 5e-9.
BITPLAN_KERNEL float fast_exp2(float x) {
  x = x < -125 ? -125.0F : x;
  x = x > 125 ? 125.0F : x;
  const float whole = (x + kRounder) - kRounder, f = (x - whole) * 0.69314718F;
  float p = 1.0F / 5040;
  p = p * f + 1.0F / 720;
  p = p * f + 1.0F / 120;
  p = p * f + 1.0F / 24;
  p = p * f + 1.0F / 6;
  p = p * f + 0.5F;
  p = p * f + 1.0F;
  p = p * f + 1.0F;
  const auto exponent = static_cast<std::int32_t>(whole) + 127;
  return p * std::bit_cast<float>(exponent << 23);
}

BITPLAN_KERNEL float fast_exp(float x) { return fast_exp2(x * 1.44269504F); }

/// log2 of a positive normal x: with x = 2^e m, sqrt(1/2) <= m < sqrt(2), t = (m - 1) / (m + 1),
/// ln m = 2 (t + t^3/3 + t^5/5 + …), |t| < 0.172.
BITPLAN_KERNEL float fast_log2(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t shifted = bits - 0x3f3504f3;  // sqrt(1/2)
  const std::int32_t exponent = shifted >> 23;
  const auto m = std::bit_cast<float>(bits - static_cast<std::int32_t>(static_cast<std::uint32_t>(exponent) << 23));
  const float t = (m - 1) / (m + 1), t2 = t * t;
  float p = 1.0F / 11;
  p = p * t2 + 1.0F / 9;
  p = p * t2 + 1.0F / 7;
  p = p * t2 + 1.0F / 5;
  p = p * t2 + 1.0F / 3;
  p = p * t2 + 1.0F;
  return static_cast<float>(exponent) + 2.885390082F * t * p;
}

/// x^y for x >= 0; below 2^-120 as 2^-120.
BITPLAN_KERNEL float fast_pow(float x, float y) {
  constexpr float least = 0x1p-120F;
  return fast_exp2(y * fast_log2(x < least ? least : x));
}

BITPLAN_KERNEL float fast_sigmoid(float x) { return 1 / (1 + fast_exp(-x)); }

}  // namespace bitplan
